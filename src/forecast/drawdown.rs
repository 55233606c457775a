//! How far did the level fall within a given time after each minute of the past? The node's own record, ready to be compared.
//!
//! Only falls count: a job that ends and gives its space back, or an image collection, needs no special case.

use super::past::{Past, float};

/// The horizons on which the record is kept, in minutes.
pub(super) const LADDER: [usize; 9] = [2, 5, 10, 20, 30, 60, 120, 240, 360];
/// The distances at which shares are counted are powers of this apart ...
const DISTANCE_STEP: f64 = 1.25;
/// ... from a ten-thousandth of the capacity on, up to all of it.
pub(super) const NEAREST: f64 = 1e-4;
/// 1.25^41 > 10,000.
pub(super) const DISTANCES: usize = 42;

/// Finds the bin of a fall without a logarithm, which would cost more than all the rest: the exponent and the first two bits
/// of the mantissa name a range in which at most one distance begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bins {
    distances: [f64; DISTANCES],
    /// For each range, the number of distances not above its beginning, less one.
    first: [usize; RANGES],
    lowest_range: u64,
}

/// Ranges between [`NEAREST`] and 1: 13.3 octaves of four.
const RANGES: usize = 56;
/// All bits of a float but the sign, the exponent and the first two of the mantissa.
const RANGE_BITS: u32 = 50;

impl Bins {
    pub(super) fn new() -> Self {
        let distances = distances();
        let lowest_range = NEAREST.to_bits() >> RANGE_BITS;
        let mut range = lowest_range;
        let first = [(); RANGES].map(|()| {
            let begin = f64::from_bits(range << RANGE_BITS);
            range += 1;
            distances.partition_point(|distance| *distance <= begin).saturating_sub(1)
        });
        Self { distances, first, lowest_range }
    }

    /// The farthest distance that a fall of at least [`NEAREST`] reaches.
    fn of(&self, fall: f64) -> usize {
        let range = usize::try_from((fall.to_bits() >> RANGE_BITS) - self.lowest_range).unwrap_or(RANGES);
        let first = self.first.get(range).copied().unwrap_or(DISTANCES - 1);
        first + usize::from(self.distances.get(first + 1).is_some_and(|next| *next <= fall))
    }
}

/// Falls after each minute whose time is over, oldest first, for one horizon; NaN where more than half of the minutes that
/// follow are unknown.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drawdowns {
    /// The horizon in minutes.
    pub(super) horizon: usize,
    falls: Vec<f64>,
}

/// Shares of the past that fell by at least each of the distances, with the weight behind them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shares {
    /// Weight of the falls that reach the distance.
    pub(super) reached: [f64; DISTANCES],
    /// Weight of all.
    pub(super) all: f64,
}

/// The distances, nearest first, as fractions of the capacity.
pub(super) fn distances() -> [f64; DISTANCES] {
    let mut distance = NEAREST / DISTANCE_STEP;
    [(); DISTANCES].map(|()| {
        distance *= DISTANCE_STEP;
        distance
    })
}

/// The records for every horizon of the ladder.
pub(super) fn drawdowns(past: &Past) -> Vec<Drawdowns> {
    let mut present = vec![0usize];
    let mut count = 0;
    for fresh in &past.fresh {
        count += usize::from(*fresh);
        present.push(count);
    }
    // `lowest` holds the lowest level over windows of `length` minutes, doubled while the horizons grow.
    let mut lowest = past.low.clone();
    let mut length = 1;
    let mut records = Vec::with_capacity(LADDER.len());
    for horizon in LADDER {
        while length * 2 <= horizon {
            lowest = lowest.iter().zip(lowest.iter().skip(length)).map(|(a, b)| a.min(*b)).collect();
            length *= 2;
        }
        // The window after minute s covers s+1 ..= s+horizon: two overlapping windows of `length`.
        let ends = lowest.iter().skip(1).zip(lowest.iter().skip(horizon + 1 - length));
        let seen = present.iter().skip(1).zip(present.iter().skip(horizon + 1));
        let falls =
            past.level.iter().zip(&past.fresh).zip(ends).zip(seen).map(|(((level, fresh), (a, b)), (from, to))| {
                if *fresh && (to - from) * 2 >= horizon { (level - a.min(*b)).max(0.0) } else { f64::NAN }
            });
        records.push(Drawdowns { horizon, falls: falls.collect() });
    }
    records
}

impl Drawdowns {
    /// How much of the rate at the start was found in the fall that followed: the slope of a regression, 0 to 1.2.
    /// 0 where nothing can be said.
    pub(super) fn persistence(&self, rates: &[f64]) -> f64 {
        let horizon = float(self.horizon);
        let (mut n, mut sx, mut sy, mut sxx, mut sxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (fall, rate) in self.falls.iter().zip(rates) {
            if fall.is_nan() {
                continue;
            }
            let x = rate * horizon;
            n += 1.0;
            sx += x;
            sy += fall;
            sxx += x * x;
            sxy += x * fall;
        }
        let variance = sxx * n - sx * sx;
        if n > 5.0 && variance > 1e-14 * n * n { ((sxy * n - sx * sy) / variance).clamp(0.0, 1.2) } else { 0.0 }
    }

    /// The shares of the falls, each moved by how much slower the rate was then than it is now, each weighted.
    pub(super) fn shares(&self, bins: &Bins, persistence: f64, rates: &[f64], weights: Option<&[f64]>) -> Shares {
        let now = rates.last().copied().unwrap_or(0.0);
        let gain = persistence * float(self.horizon);
        let mut weight_of_bin = [0.0; DISTANCES];
        let mut all = 0.0;
        let mut weights = weights.map(|weights| weights.iter().copied());
        for (fall, rate) in self.falls.iter().zip(rates) {
            let weight = weights.as_mut().map_or(Some(1.0), Iterator::next).unwrap_or(0.0);
            if fall.is_nan() {
                continue;
            }
            all += weight;
            let moved = fall + gain * (now - rate);
            if moved >= NEAREST
                && let Some(sum) = weight_of_bin.get_mut(bins.of(moved))
            {
                *sum += weight;
            }
        }
        let mut sum = 0.0;
        for reached in weight_of_bin.iter_mut().rev() {
            sum += *reached;
            *reached = sum;
        }
        Shares { reached: weight_of_bin, all }
    }
}

/// How alike each minute is to the newest, by what was written in the ten minutes before: 0 to 1.
pub(super) fn likeness(written: &[f64]) -> Vec<f64> {
    /// Width of the kernel on asinh(percent of the capacity): amounts that differ by a factor of 1.6 are alike.
    const WIDTH: f64 = 0.5;
    let now = written.last().copied().unwrap_or(0.0);
    written.iter().map(|then| (-0.5 * ((then - now) / WIDTH).powi(2)).exp()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::minutes::Minutes;

    fn past(levels: &[Option<f64>]) -> Past {
        let mut minutes = Minutes::default();
        for (number, level) in levels.iter().enumerate() {
            if let Some(level) = level {
                minutes.push(u64::try_from(number).expect("small"), *level);
            }
        }
        Past::new(&minutes, 0).expect("not empty")
    }

    #[test]
    fn a_fall_counts_only_once_its_time_is_over() {
        let levels: Vec<_> = [0.9, 0.8, 0.7, 0.95].map(Some).to_vec();
        let records = drawdowns(&past(&levels));
        let two_minutes = &records[0];
        assert_eq!(two_minutes.horizon, 2);
        let rounded: Vec<f64> = two_minutes.falls.iter().map(|fall| (fall * 10.0).round()).collect();
        assert_eq!(rounded, [2.0, 1.0]);
    }

    #[test]
    fn mostly_unknown_minutes_give_no_fall() {
        let mut levels = vec![Some(0.9)];
        levels.extend([None; 8]);
        levels.extend([Some(0.5), Some(0.4)]);
        let five_minutes = &drawdowns(&past(&levels))[1];
        assert!(five_minutes.falls.iter().all(|fall| fall.is_nan()), "{five_minutes:?}");
    }

    #[test]
    fn every_window_matches_a_plain_search() {
        let levels: Vec<f64> = (0..500).map(|i| 0.5 + 0.3 * (float(i * i % 97) / 97.0)).collect();
        let known: Vec<_> = levels.iter().copied().map(Some).collect();
        for record in drawdowns(&past(&known)) {
            for (s, fall) in record.falls.iter().enumerate() {
                let low = levels[s + 1..=s + record.horizon].iter().copied().fold(f64::INFINITY, f64::min);
                assert!((fall - (levels[s] - low).max(0.0)).abs() < 3e-6, "{} {s}", record.horizon);
            }
            assert_eq!(record.falls.len(), 500 - record.horizon);
        }
    }

    #[test]
    fn bins_are_found_as_by_a_plain_search() {
        let bins = Bins::new();
        let mut fall = NEAREST;
        while fall < 3.0 {
            let plain = distances().partition_point(|distance| *distance <= fall) - 1;
            assert_eq!(bins.of(fall), plain, "{fall}");
            fall *= 1.003;
        }
        for (i, distance) in distances().into_iter().enumerate() {
            assert_eq!(bins.of(distance), i);
        }
    }

    #[test]
    fn shares_fall_with_the_distance() {
        let levels: Vec<_> = (0..200).map(|i| Some(0.9 - 0.001 * float(i % 50))).collect();
        let record = &drawdowns(&past(&levels))[2];
        let shares = record.shares(&Bins::new(), 0.0, &[0.0; 200], None);
        assert!((shares.all - 190.0).abs() < 1e-9, "{}", shares.all);
        assert!(shares.reached.windows(2).all(|two| two[0] >= two[1]));
        // Ten minutes of falling by a thousandth: distances up to 0.0095 are reached whenever no release came between.
        assert!(shares.reached[0] > 180.0 && shares.reached[30] < 1e-9);
    }
}
