//! How does foreign JSON become values without growing? What is not wanted is skipped while it is parsed, lists keep a limited
//! number of entries.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// At most `LIMIT` entries of a list; JSON null is the empty list, as Go writes it.
#[derive(Debug)]
pub(super) struct AtMost<T, const LIMIT: usize> {
    pub(super) items: Vec<T>,
}

impl<T, const LIMIT: usize> Default for AtMost<T, LIMIT> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl<'de, T: Deserialize<'de>, const LIMIT: usize> Deserialize<'de> for AtMost<T, LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut items = Vec::new();
        deserializer.deserialize_any(Into::<T> { items: &mut items, limit: LIMIT })?;
        Ok(Self { items })
    }
}

/// Reads a list into a vector that survives when the text ends too early; says whether there are more entries than `limit`.
pub(super) struct Into<'a, T> {
    pub(super) items: &'a mut Vec<T>,
    pub(super) limit: usize,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Into<'_, T> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Into<'_, T> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while self.items.len() < self.limit {
            match list.next_element()? {
                Some(item) => self.items.push(item),
                None => return Ok(false),
            }
        }
        let mut more = false;
        while list.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(more)
    }
}

/// What is wanted of a map of strings.
pub(super) trait FromPairs: Default {
    /// Takes one pair; called for every pair in the order of the text.
    fn pair(&mut self, key: &str, value: &str);
}

/// Reads a map of strings, or null, and keeps what `T` wants of it.
pub(super) fn pairs<'de, T: FromPairs, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Pairs<T>(PhantomData<T>);

    impl<'de, T: FromPairs> Visitor<'de> for Pairs<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of strings")
        }

        fn visit_unit<E: Error>(self) -> Result<T, E> {
            Ok(T::default())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
            let mut wanted = T::default();
            while let Some((key, value)) = map.next_entry::<String, String>()? {
                wanted.pair(&key, &value);
            }
            Ok(wanted)
        }
    }

    deserializer.deserialize_any(Pairs(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::untrusted::Label;

    #[derive(Debug, Default, Deserialize)]
    struct Thing {
        #[serde(default)]
        names: AtMost<Label, 2>,
        #[serde(default, deserialize_with = "pairs")]
        labels: Keys,
    }

    #[derive(Debug, Default)]
    struct Keys(Vec<String>);

    impl FromPairs for Keys {
        fn pair(&mut self, key: &str, value: &str) {
            self.0.push(format!("{key}={value}"));
        }
    }

    fn thing(json: &str) -> Thing {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn lists_keep_their_first_entries() {
        let many = thing(r#"{"names":["a","b","c"]}"#);
        assert_eq!(many.names.items, ["a".into(), "b".into()]);
        assert!(thing(r#"{"names":null}"#).names.items.is_empty());
    }

    #[test]
    fn maps_are_read_pair_by_pair() {
        assert_eq!(thing(r#"{"labels":{"a":"b","c":""}}"#).labels.0, ["a=b", "c="]);
        assert!(thing(r#"{"labels":null}"#).labels.0.is_empty());
    }

    #[test]
    fn what_was_read_before_the_text_ends_stays() {
        let mut items: Vec<Label> = Vec::new();
        let mut text = serde_json::Deserializer::from_str(r#"["a","b","c"#);
        let error = Into { items: &mut items, limit: 10 }.deserialize(&mut text).unwrap_err();
        assert!(error.is_eof());
        assert_eq!(items, ["a".into(), "b".into()]);
    }

    #[test]
    fn nesting_is_limited() {
        let deep = format!(r#"{{"other":{}"#, "[".repeat(1_000_000));
        assert!(serde_json::from_str::<Thing>(&deep).is_err());
    }
}
