//! Where does chance come from, the same each time? SplitMix64 (Steele, Lea, Flood 2014): tiny, and good enough for a story.

/// A source of numbers determined by its seed.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = self.0;
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly between `low` and `high`.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        // The upper 53 bits: what a float holds exactly.
        let unit = crate::units::u64_as_f64(self.next() >> 11) / 9_007_199_254_740_992.0;
        low + (high - low) * unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_published_algorithm() {
        let mut random = Random::new(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn numbers_stay_between_their_bounds() {
        let mut random = Random::new(0);
        assert!((0..1_000).map(|_| random.between(-2.0, 3.0)).all(|number| (-2.0..3.0).contains(&number)));
    }
}
