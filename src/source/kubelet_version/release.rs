//! Is a text the release of a kubelet? Only as Kubernetes writes it.

/// The longest release that is believed; `v1.34.0-alpha.3.0.20250612093412-0123456789ab+dirty` has 51.
const MAX_RELEASE: usize = 64;

/// A release of Kubernetes as it is written everywhere: `v1.31.2`, perhaps with more after `-`, `+` or `~`.
pub(super) fn is_release(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("v1.") else { return false };
    let Some((minor, rest)) = rest.split_once('.') else { return false };
    let patch = rest.split(['-', '+', '~']).next().unwrap_or_default();
    let is_number = |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-+~._".contains(&b);
    text.len() <= MAX_RELEASE && is_number(minor) && is_number(patch) && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_told_from_other_text() {
        let releases = ["v1.31.2", "v1.30.2+k3s1", "v1.31.0-rc.1", "v1.29.3-eks-ae9a62a", "v1.34.1+dirty"];
        assert_eq!(releases.map(is_release), [true; 5]);
        let long = format!("v1.31.2-{}", "a".repeat(60));
        let others =
            ["", "1.31.2", "v1.31", "v1.31.", "v1.x.2", "v0.31.2", "(devel)", "v1.31.2 x", "v1.31.2\u{202e}", &long];
        assert_eq!(others.map(is_release), [false; 10]);
    }
}
