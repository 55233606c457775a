//! Was this file counted under another name? A bounded memory of files with several hard links.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Files whose other names are still to be found.
#[derive(Debug)]
pub(super) struct Links {
    /// Inode to the number of names not seen yet; a file whose names have all been seen is forgotten.
    open: HashMap<u64, u64>,
    limit: usize,
    /// Names that came while the memory was full.
    pub(super) unremembered: u64,
}

impl Links {
    pub(super) fn new(limit: usize) -> Self {
        Self { open: HashMap::new(), limit, unremembered: 0 }
    }

    /// What one name of a file of `bytes` with `names` hard links adds to the sum: everything for the first name that is seen,
    /// nothing for the others. While the memory is full each name adds an equal share, which is exact when all are found.
    pub(super) fn share(&mut self, inode: u64, names: u64, bytes: u64) -> u64 {
        if names < 2 {
            return bytes;
        }
        let full = self.open.len() >= self.limit;
        match self.open.entry(inode) {
            Entry::Occupied(mut left) => {
                *left.get_mut() -= 1;
                if *left.get() == 0 {
                    left.remove();
                }
                0
            }
            Entry::Vacant(_) if full => {
                self.unremembered += 1;
                bytes / names
            }
            Entry::Vacant(place) => {
                place.insert(names - 1);
                bytes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_pays_for_all() {
        let mut links = Links::new(10);
        assert_eq!([links.share(7, 3, 4096), links.share(7, 3, 4096), links.share(7, 3, 4096)], [4096, 0, 0]);
        assert_eq!(links.share(8, 1, 512), 512);
        assert!(links.open.is_empty(), "a file whose names have all been seen is forgotten");
    }

    #[test]
    fn names_beyond_the_memory_pay_equal_shares() {
        let mut links = Links::new(1);
        assert_eq!(links.share(1, 2, 8192), 8192);
        assert_eq!([links.share(2, 2, 8192), links.share(2, 2, 8192)], [4096, 4096]);
        assert_eq!(links.unremembered, 2);
    }
}
