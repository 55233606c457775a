//! What did the past say a minute ago, and the minute before? Kept, because an answer that is averaged with the ones before it
//! flaps less, and because working them out again would cost as much as the newest one.

use super::minutes::Minutes;
use super::past::Past;
use super::surface::Surface;

/// How many minutes before the newest one are looked from.
pub(super) const EARLIER: usize = 2;

/// The surfaces seen from the minutes before the newest, newest first. Can be worked out again from the minutes, so it is
/// neither written down nor compared.
#[derive(Debug, Clone, Default)]
pub(super) struct Views {
    /// The number of the newest block at the time.
    newest: u64,
    surfaces: Vec<Surface>,
}

impl PartialEq for Views {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Views {
    /// To be called after each sample: looks from the minutes that are over and were not looked from yet.
    pub(super) fn keep_up(&mut self, minutes: &Minutes) {
        let newest = minutes.newest();
        if self.surfaces.len() == EARLIER && newest == self.newest {
            return;
        }
        let passed = usize::try_from(newest.saturating_sub(self.newest)).unwrap_or(EARLIER).min(EARLIER);
        let known = if self.surfaces.len() == EARLIER { EARLIER - passed } else { 0 };
        let mut surfaces: Vec<Surface> = (1..=EARLIER - known).filter_map(|ago| surface(minutes, ago)).collect();
        surfaces.extend(self.surfaces.drain(..).take(known));
        *self = Self { newest, surfaces };
    }

    /// Forgets all, because the past was rewritten.
    pub(super) fn clear(&mut self) {
        self.surfaces.clear();
    }

    /// The surfaces of the last minutes, newest first; fewer where the past is that short.
    pub(super) fn surfaces(&self, minutes: &Minutes) -> Vec<Surface> {
        if self.surfaces.len() == EARLIER && self.newest == minutes.newest() {
            return self.surfaces.clone();
        }
        (1..=EARLIER).filter_map(|ago| surface(minutes, ago)).collect()
    }

    /// Bytes of memory behind it.
    pub(super) fn heap_bytes(&self) -> usize {
        self.surfaces.capacity() * size_of::<Surface>()
    }
}

fn surface(minutes: &Minutes, ago: usize) -> Option<Surface> {
    Past::new(minutes, ago).map(|past| Surface::new(&past))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_what_would_be_worked_out_again() {
        let mut minutes = Minutes::default();
        let mut views = Views::default();
        // Every minute for a while, then with holes of one, two and many minutes.
        let numbers = (0..40).chain([42, 45, 90, 91, 92]).chain(1_490..1_540);
        for number in numbers {
            let level = 0.5 - 0.0001 * crate::units::u64_as_f64(number * number % 97);
            minutes.push(number, level);
            views.keep_up(&minutes);
            assert_eq!(views.surfaces(&minutes), Views::default().surfaces(&minutes), "{number}");
        }
    }
}
