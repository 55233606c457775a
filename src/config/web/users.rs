//! How is a password kept? As a bcrypt hash, checked when the file is read.

use bcrypt::HashParts;
use serde::Deserialize;
use std::fmt;

/// A bcrypt hash such as `$2y$10$...`, with a cost of at most [`PasswordHash::MAX_COST`].
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PasswordHash {
    text: String,
    cost: u32,
}

impl PasswordHash {
    /// Each step doubles the work: 10 are about 50 ms, 16 are 3 s. More would let one request hold up all others.
    pub const MAX_COST: u32 = 16;

    /// The hash as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How much work one check is: 2 to this power rounds; 4 to 16.
    pub const fn cost(&self) -> u32 {
        self.cost
    }

    /// A hash of this cost that stands for users who do not exist, so that they take as much time as others. Which password it
    /// belongs to does not matter: nobody is let in by it.
    #[must_use]
    pub fn of_nobody(cost: u32) -> Self {
        Self { text: format!("$2b${cost:02}${NOBODY}"), cost }
    }
}

const NOBODY: &str = "CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK";

impl TryFrom<String> for PasswordHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // The text may be a password that somebody forgot to hash: it is not repeated.
        let parts: HashParts = text.parse().map_err(|_| {
            "a user has a bcrypt hash such as $2y$10$..., made with `htpasswd -nBC 10 USER`; this is none".to_owned()
        })?;
        let cost = parts.get_cost();
        if !(4..=Self::MAX_COST).contains(&cost) {
            return Err(format!("this bcrypt hash has cost {cost}; make one with 4 to {}", Self::MAX_COST));
        }
        Ok(Self { text, cost })
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}
