//! If the disk goes on as in the last two minutes, when is a level reached? The answer of a cold start, and of a fill so
//! even that its own line says more than the past.

use super::gaussian::first_passage;
use super::rate::Rate;

/// What the newest points say about the rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    /// The rate of the last minutes.
    pub(super) near: Rate,
    /// Mean fall over all that has been seen since the last gap, at most six hours.
    pub(super) far: f64,
    /// The longest recent time over which the level fell evenly; `None` where it does not.
    pub(super) steady: Option<Rate>,
}

/// The near rate gives way to the far one with this time constant: fills of CI jobs last some tens of minutes.
const FADE_SECONDS: f64 = 1_200.0;

impl Line {
    /// Probability of a fall by `distance` within `seconds`, distances in the unit of the rates.
    pub(super) fn reaches(&self, distance: f64, seconds: f64) -> f64 {
        let near = self.near;
        let memory = FADE_SECONDS * (1.0 - (-seconds / FADE_SECONDS).exp());
        // A pause after a burst is no burst: what comes later is never faster than now.
        let far = self.far.clamp(0.0, near.fall.max(0.0));
        let drift = far * seconds + (near.fall - far) * memory;
        // A rate seen for a minute says less about the next hour than about the next minute.
        let fall = near.fall.max(0.0);
        let unproven = 0.1 * fall * (1.0 + 15.0 / near.span);
        // Noise seen for a while can mislead for a few times as long; and a rate that is no fall is not extrapolated,
        // however uncertain it is: a release makes the windows disagree, but is no danger.
        let noise = near.spread.min(fall) * memory.min(5.0 * near.span);
        first_passage(distance, drift, noise + unproven * memory + 0.2 * far * (seconds - memory))
    }

    /// How likely the fill goes on until it has covered `distance`: half of the fills that a node has never seen the like of
    /// end within ten minutes, and the longer one has to last the less likely it does.
    pub(super) fn lasts(&self, distance: f64) -> f64 {
        const HALF_SECONDS: f64 = 600.0;
        if self.near.fall <= 0.0 { 0.0 } else { HALF_SECONDS / (HALF_SECONDS + distance / self.near.fall) }
    }

    /// How far a steady fill can be trusted to reach `distance`: 1 up to twice as long as it has lasted, 0 from six
    /// times on.
    pub(super) fn trust(&self, distance: f64) -> f64 {
        const FULL: f64 = 2.0;
        const NONE: f64 = 6.0;
        self.steady.filter(|rate| rate.fall > 0.0).map_or(0.0, |rate| {
            let times = distance / rate.fall / rate.span;
            ((NONE / times).ln() / (NONE / FULL).ln()).clamp(0.0, 1.0)
        })
    }

    /// Probability that the steady fill reaches `distance` within `seconds`.
    pub(super) fn steady_reaches(&self, distance: f64, seconds: f64) -> f64 {
        self.steady
            .map_or(0.0, |rate| first_passage(distance, rate.fall * seconds, (0.1 * rate.fall + rate.spread) * seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fall: f64, span: f64) -> Line {
        let near = Rate { fall, spread: 0.0, span };
        Line { near, far: fall, steady: Some(near) }
    }

    #[test]
    fn a_steady_fill_is_trusted_for_a_few_times_its_length() {
        assert!((line(1.0, 60.0).trust(110.0) - 1.0).abs() < 1e-9);
        assert!(line(1.0, 60.0).trust(350.0) < 0.1);
        assert!(line(-1.0, 60.0).trust(10.0) < 1e-9);
    }

    #[test]
    fn a_fill_that_must_last_ten_minutes_does_half_of_the_time() {
        assert!((line(1.0, 60.0).lasts(600.0) - 0.5).abs() < 1e-9);
        assert!(line(-1.0, 60.0).lasts(600.0) < 1e-9);
    }

    #[test]
    fn a_pause_ends_a_burst() {
        let paused = Line { near: Rate { fall: 0.0, spread: 0.0, span: 120.0 }, far: 1.0, steady: None };
        assert!(paused.reaches(100.0, 3_600.0) < 1e-9);
    }
}
