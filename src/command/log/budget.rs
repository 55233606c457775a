//! How many lines may one subject have, and all together? Per minute, with the rest counted.

use std::collections::BTreeMap;

/// Lines of this minute.
#[derive(Debug, Default)]
pub(super) struct Budget {
    minute: u64,
    lines: u64,
    subjects: BTreeMap<String, Count>,
    /// Lines of subjects beyond [`SUBJECTS`].
    others: Count,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    passed: u64,
    suppressed: u64,
}

/// Lines that were not written in a minute.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suppressed {
    pub(super) subject: String,
    pub(super) lines: u64,
}

/// A layer that comes, loses its sources, has its triggers predicted and goes has about as many lines.
const EACH: u64 = 20;
/// Of all subjects together; at 200 bytes each 57 MB a day at worst.
const ALL: u64 = 200;
/// So many subjects are told apart.
const SUBJECTS: usize = 256;

impl Budget {
    /// Whether a line about `subject` may be written `seconds` after the start, and what is to be said of the minutes before.
    pub(super) fn spend(&mut self, subject: &str, seconds: u64) -> (bool, Vec<Suppressed>) {
        let minute = seconds / 60;
        let over = if minute == self.minute { Vec::new() } else { self.turn(minute) };
        let count = if self.subjects.len() < SUBJECTS || self.subjects.contains_key(subject) {
            self.subjects.entry(subject.to_owned()).or_default()
        } else {
            &mut self.others
        };
        let passes = count.passed < EACH && self.lines < ALL;
        if passes {
            count.passed += 1;
            self.lines += 1;
        } else {
            count.suppressed += 1;
        }
        (passes, over)
    }

    /// Begins a new minute: what was suppressed in the last, the most first, at most ten subjects and the rest.
    fn turn(&mut self, minute: u64) -> Vec<Suppressed> {
        self.minute = minute;
        self.lines = 0;
        let mut rest = std::mem::take(&mut self.others).suppressed;
        let mut over: Vec<_> = std::mem::take(&mut self.subjects)
            .into_iter()
            .filter(|(_, count)| count.suppressed > 0)
            .map(|(subject, count)| Suppressed { subject, lines: count.suppressed })
            .collect();
        over.sort_by_key(|suppressed| std::cmp::Reverse(suppressed.lines));
        rest += over.drain(over.len().min(NAMED)..).map(|suppressed| suppressed.lines).sum::<u64>();
        if rest > 0 {
            over.push(Suppressed { subject: "others".to_owned(), lines: rest });
        }
        over
    }
}

/// So many subjects are named when lines were suppressed.
const NAMED: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_its_lines_each_minute_and_the_rest_is_counted() {
        let mut budget = Budget::default();
        let passed = (0..100).filter(|_| budget.spend("a", 30).0).count();
        assert_eq!(passed, 20);
        assert_eq!(budget.spend("b", 59), (true, Vec::new()));
        let (passes, over) = budget.spend("a", 60);
        assert!(passes);
        assert_eq!(over, [Suppressed { subject: "a".to_owned(), lines: 80 }]);
        assert_eq!(budget.spend("a", 61), (true, Vec::new()), "said once");
    }

    #[test]
    fn ever_new_subjects_are_bounded_too() {
        let mut budget = Budget::default();
        let passed = (0..10_000).filter(|number| budget.spend(&number.to_string(), 0).0).count();
        assert_eq!(passed, 200);
        assert_eq!(budget.subjects.len(), SUBJECTS);
        let (_, over) = budget.spend("x", 3_600);
        assert_eq!(over.len(), NAMED + 1);
        assert_eq!(over.iter().map(|suppressed| suppressed.lines).sum::<u64>(), 9_800);
    }
}
