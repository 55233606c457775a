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

/// A name, escaped, and its middle cut out where it is longer than anybody reads: both ends tell names apart.
#[derive(Debug)]
pub(super) struct Short<'a>(pub(super) &'a str);

impl Short<'_> {
    /// The longest name that is shown whole, in characters.
    pub(super) const MOST_CHARS: usize = 96;
}

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.chars().count();
        if length <= Self::MOST_CHARS {
            return Escaped(self.0).fmt(f);
        }
        let end = Self::MOST_CHARS / 2;
        let head: String = self.0.chars().take(Self::MOST_CHARS - end - 1).collect();
        let tail: String = self.0.chars().skip(length - end).collect();
        write!(f, "{}…{}", Escaped(&head), Escaped(&tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_both_ends() {
        assert_eq!(Short(&"é".repeat(96)).to_string(), "é".repeat(96));
        let long = format!("<{}>", "x".repeat(200));
        assert_eq!(Short(&long).to_string(), format!("&lt;{}…{}&gt;", "x".repeat(46), "x".repeat(47)));
    }

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
