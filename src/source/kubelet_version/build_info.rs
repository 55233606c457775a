//! What did Go note when it built a program? The section `.go.buildinfo`, which also a stripped executable has: the modules, and
//! how it was built. See debug/buildinfo and runtime/debug of Go.
//!
//! What names the release in it depends on who built the kubelet: the linker's `-X ...version.gitVersion=` where Go wrote its
//! flags down (not with `-trimpath`), the version of the module `k8s.io/kubernetes` where it was built as one, or from a tag by
//! Go 1.24 and later, and the version of that module as a part of k3s. A trimmed build of a source tree
//! without its history has neither: it says `(devel)`.
//!
//! Kubelets built before Go 1.18 (up to 1.23) have another form, which is not read.

use super::release::is_release;

/// The name of the section.
pub(super) const SECTION: &[u8] = b".go.buildinfo";
/// That of a kubelet takes 14 KiB, that of k3s some times as much.
pub(super) const LIMIT: usize = 512 << 10;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The texts follow the header, and are not pointed at.
const TEXTS_INSIDE: u8 = 2;
const HEADER: usize = 32;
/// A mark of 16 bytes stands around the text of the modules.
const MARK: usize = 16;
const MODULE: &str = "k8s.io/kubernetes";
/// The variable that `kubelet --version` prints.
const VARIABLE: &str = "k8s.io/component-base/version.gitVersion=";

/// The release of the kubelet in a program, from this section.
pub(super) fn release(section: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(modules(section)?);
    linked(&text).or_else(|| module(&text)).filter(|release| is_release(release)).map(str::to_owned)
}

/// The text of the modules, without the marks.
fn modules(section: &[u8]) -> Option<&[u8]> {
    let flags = *section.get(MAGIC.len() + 1)?;
    if !section.starts_with(MAGIC) || flags & TEXTS_INSIDE == 0 {
        return None;
    }
    let (_go, rest) = text(section.get(HEADER..)?)?;
    let (marked, _) = text(rest)?;
    marked.get(MARK..marked.len().checked_sub(MARK)?)
}

/// A text with its length in front, in groups of seven bits, the lowest first; and what follows it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return bytes.get(index + 1..)?.split_at_checked(length);
        }
    }
    None
}

/// What the linker set as the version. The last setting of a variable wins.
fn linked(text: &str) -> Option<&str> {
    let flags = text.lines().find(|line| line.starts_with("build\t-ldflags="))?;
    let (_, value) = flags.rsplit_once(VARIABLE)?;
    value.split([' ', '\'', '"', '\\', '\t']).next()
}

/// The version of the module; of what replaces it, where something does.
fn module(text: &str) -> Option<&str> {
    let mut lines = text.lines();
    let own = lines.by_ref().find_map(|line| {
        let mut fields = line.split('\t');
        let is_module = matches!(fields.next(), Some("mod" | "dep")) && fields.next() == Some(MODULE);
        is_module.then(|| fields.next())
    })?;
    match lines.next().and_then(|line| line.strip_prefix("=>\t")) {
        Some(replacement) => replacement.split('\t').nth(1),
        None => own,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A section as Go 1.18 and later write it.
    pub(in super::super) fn section(modules: &str) -> Vec<u8> {
        let mut section = MAGIC.to_vec();
        section.extend([8, TEXTS_INSIDE]);
        section.resize(HEADER, 0);
        let marks =
            [b"0w\xaf\x0c\x92t\x08\x02A\xe1\xc1\x07\xe6\xd6\x18\xe6", b"\xf92C1\x86\x18 r\x00\x82B\x10A\x16\xd8\xf2"];
        let marked = [marks[0].as_slice(), modules.as_bytes(), marks[1]].concat();
        for text in [b"go1.26.8".as_slice(), &marked] {
            let mut length = text.len();
            while length >= 0x80 {
                section.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            section.push(u8::try_from(length).unwrap());
            section.extend(text);
        }
        section
    }

    fn of(lines: &[&str]) -> Option<String> {
        release(&section(&(lines.join("\n") + "\n")))
    }

    const KUBELET: &str = "path\tk8s.io/kubernetes/cmd/kubelet";
    const DEVEL: &str = "mod\tk8s.io/kubernetes\t(devel)\t";

    #[test]
    fn a_kubelet_built_as_a_module_names_its_release() {
        let lines = [
            KUBELET,
            "mod\tk8s.io/kubernetes\tv1.37.2\th1:A2VDE=",
            "dep\tcel.dev/expr\tv0.25.1\th1:1KrZ=",
            "build\t-trimpath=true",
        ];
        assert_eq!(of(&lines).as_deref(), Some("v1.37.2"));
    }

    #[test]
    fn the_linkers_flags_name_it_in_any_quotes() {
        let flags = [
            r#"build	-ldflags="all=-X 'k8s.io/component-base/version.buildDate=2023' -X 'k8s.io/component-base/version.gitVersion=v1.28.15' -s -w""#,
            r#"build	-ldflags="-s -w -X k8s.io/component-base/version.gitVersion=v1.28.15""#,
            r#"build	-ldflags="-X \"k8s.io/component-base/version.gitVersion=v1.28.15\" -s""#,
            "build\t-ldflags=-X=k8s.io/component-base/version.gitVersion=v1.28.15",
            r#"build	-ldflags="-X k8s.io/component-base/version.gitVersion=v1.20.0 -X k8s.io/component-base/version.gitVersion=v1.28.15""#,
        ];
        for line in flags {
            assert_eq!(of(&[KUBELET, DEVEL, line]).as_deref(), Some("v1.28.15"), "{line}");
        }
    }

    #[test]
    fn k3s_names_the_kubernetes_that_it_contains() {
        let lines = [
            "path\tgithub.com/k3s-io/k3s/cmd/server",
            "mod\tgithub.com/k3s-io/k3s\t(devel)\t",
            "dep\tk8s.io/kubelet\tv0.31.2",
            "=>\tgithub.com/k3s-io/kubernetes/staging/src/k8s.io/kubelet\tv1.31.2-k3s1\th1:xx=",
            "dep\tk8s.io/kubernetes\tv1.31.2",
            "=>\tgithub.com/k3s-io/kubernetes\tv1.31.2-k3s1\th1:yy=",
        ];
        assert_eq!(of(&lines).as_deref(), Some("v1.31.2-k3s1"));
        let local = ["dep\tk8s.io/kubernetes\tv1.31.2", "=>\t./kubernetes\t(devel)\t"];
        assert_eq!(of(&local), None, "a directory has any content");
    }

    #[test]
    fn nothing_else_is_taken_for_the_release() {
        let cases: [&[&str]; 5] = [
            &[KUBELET, DEVEL, "build\t-trimpath=true"],
            &[KUBELET, "mod\tk8s.io/kubernetes\tv0.0.0-20250101000000-0123456789ab"],
            &["path\texample.io/kubelet", "mod\texample.io/kubelet\tv1.31.2"],
            &[KUBELET, DEVEL, "dep\tk8s.io/component-base\tv0.31.2", "dep\tgo.etcd.io/etcd\tv1.31.2"],
            &[KUBELET, DEVEL, "build\t-ldflags=\"-X k8s.io/component-base/version.gitVersion=\u{1b}[31mv1.31.2\""],
        ];
        for lines in cases {
            assert_eq!(of(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn damaged_sections_tell_nothing() {
        let good = section(&format!("{KUBELET}\nmod\tk8s.io/kubernetes\tv1.37.2\th1:A2VDE=\n"));
        assert_eq!(release(&good).as_deref(), Some("v1.37.2"));
        for length in 0..good.len() {
            assert_eq!(release(&good[..length]), None, "cut at {length}");
        }
        let mut pointers = good.clone();
        pointers[MAGIC.len() + 1] = 0;
        assert_eq!(release(&pointers), None, "the form of Go 1.17");
        let mut endless = good;
        endless[HEADER..HEADER + 5].fill(0xff);
        assert_eq!(release(&endless), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, modules in "(mod|dep|build|=>|\t|k8s.io/kubernetes|-ldflags=|v1|\n|.){0,40}") {
            release(&[&section("")[..HEADER], &bytes].concat());
            release(&section(&modules));
        }
    }
}
