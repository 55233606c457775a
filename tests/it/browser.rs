//! The status page in a real browser. Serves pages of fixed nodes, gives their addresses to tests/browser, and fails where it fails.

use crate::node;
use highwater::export::metrics::Budget;
use highwater::snapshot::Snapshot;
use highwater::time::{Span, Timestamp};
use highwater::web::{AccessRules, Answers, Limits, PageOptions, Published, serve};
use std::collections::BTreeMap;
use std::future::pending;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use tokio::net::TcpListener;

/// A page: what it shows, and when.
type Shown = (Option<Snapshot>, Timestamp);

fn pages() -> BTreeMap<&'static str, Shown> {
    let of = |text: &str| (Some(node::hostile(text)), node::now());
    BTreeMap::from([
        ("node", (Some(node::snapshot()), node::now())),
        ("crowd", (Some(node::crowd()), node::now())),
        ("stale", (Some(node::snapshot()), node::AT + Span::from_secs(3_600))),
        ("nothing", (None, node::now())),
        ("hostile-script", of("<script>alert('owned')</script>")),
        ("hostile-attribute", of("\" onmouseover=\"alert(1)\" x='\"><img src=x onerror=alert(1)>")),
        ("hostile-closing", of("</title></svg></td></table><style>*{display:none}</style><!--")),
        ("hostile-marks", of("abc\u{202E}def\u{2066}ghi\u{200F}شكرا\u{1b}[31m\r\n\0")),
        ("hostile-emoji", of("👩‍👩‍👧‍👦🦀💾\u{1F3F4}\u{E0067}\u{E007F}e\u{301}\u{301}\u{301}")),
        ("hostile-long", of(&"ähnlich-".repeat(1_250))),
        ("hostile-unbroken", of(&"W".repeat(10_000))),
    ])
}

/// Serves every page until the process ends, and says where.
async fn serve_all(pages: BTreeMap<&'static str, Shown>) -> BTreeMap<&'static str, String> {
    let mut urls = BTreeMap::new();
    for (name, (snapshot, now)) in pages {
        let published = Arc::new(Published::new());
        if let Some(snapshot) = snapshot {
            published.publish(Arc::new(snapshot));
        }
        let (budget, page) = (Budget::default(), PageOptions::default());
        let answers = Answers::new(published, move || now, "/metrics".to_owned(), budget, page);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        urls.insert(name, format!("http://{}/", listener.local_addr().unwrap()));
        tokio::spawn(serve(
            vec![listener.into()],
            Arc::new(answers),
            Arc::new(AccessRules::open().unwrap()),
            Limits::default(),
            pending::<()>(),
        ));
    }
    urls
}

#[test]
#[ignore = "needs Chromium and Node.js: tests/browser/test"]
fn the_page_in_chromium() {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            tell.send(serve_all(pages()).await).unwrap();
            pending::<()>().await;
        });
    });
    let urls = told.recv().unwrap();
    let status = Command::new("node")
        .args(["--test", "--test-reporter=spec", "tests/browser/page.test.mjs"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HIGHWATER_PROGRAM", env!("CARGO_BIN_EXE_highwater"))
        .env("HIGHWATER_PAGES", serde_json::to_string(&urls).unwrap())
        .status()
        .expect("node can be run: tests/browser/test");
    assert!(status.success(), "tests/browser: {status}");
}
