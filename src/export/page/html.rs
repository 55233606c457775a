//! How does text get into the page without being read as markup?

use std::fmt;

/// Text, escaped for element content and for attribute values in double quotes.
#[derive(Debug)]
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(position) = rest.find(['&', '<', '>', '"', '\'']) {
            let (before, from) = rest.split_at(position);
            f.write_str(before)?;
            let mut characters = from.chars();
            f.write_str(match characters.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                _ => "&#39;",
            })?;
            rest = characters.as_str();
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(
            Escaped("<script src='x'>alert(\"1\") & more</script>").to_string(),
            "&lt;script src=&#39;x&#39;&gt;alert(&quot;1&quot;) &amp; more&lt;/script&gt;"
        );
        assert_eq!(Escaped("ümläut 🦀").to_string(), "ümläut 🦀");
        assert_eq!(Escaped("").to_string(), "");
    }
}
