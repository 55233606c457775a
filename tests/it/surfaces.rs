//! What do a person and a script see of a fixed node?

use crate::node;
use highwater::export::page::PageOptions;
use highwater::export::{json, page, table};

#[test]
fn the_table_on_a_wide_terminal() {
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("table-wide", table::render(&node::snapshot(), node::now(), Some(200)));
    });
}

#[test]
fn the_table_on_a_narrow_terminal() {
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("table-narrow", table::render(&node::snapshot(), node::now(), Some(120)));
    });
}

#[test]
fn the_json() {
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("snapshot-json", json::snapshot(&node::snapshot(), node::now()));
    });
}

#[test]
fn the_page() {
    let options = PageOptions { telemetry_path: "/metrics".to_owned(), notice: None };
    insta::with_settings!({snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("page", page::render(Some(&node::snapshot()), node::now(), &options));
    });
}
