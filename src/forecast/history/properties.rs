//! Properties that hold for every course a disk may take.

use super::*;
use crate::forecast::Horizon;
use proptest::prelude::*;

const CAPACITY: u64 = 100 << 30;
const START: i64 = 1_700_000_000_000_000;

/// One step: seconds since the sample before, and bytes taken (negative: given back).
type Step = (u32, i64);

/// Steps as a CI node may take them: mostly regular, now and then a long wait; bursts, pauses, releases.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![8 => 1u32..20, 1 => 20u32..90, 1 => Just(60)];
    let taken =
        prop_oneof![4 => Just(0i64), 4 => 0i64..(400 << 20), 1 => -(30i64 << 30)..0, 2 => -(1i64 << 20)..(1 << 20)];
    prop::collection::vec((wait, taken), 3..400)
}

fn observations(steps: &[Step], shift_micros: i64, factor: u64) -> Vec<Observation> {
    let (mut at, mut available) = (START + shift_micros, CAPACITY / 2);
    steps
        .iter()
        .map(|&(wait, taken)| {
            at += i64::from(wait) * 1_000_000;
            available = available.saturating_add_signed(-taken).min(CAPACITY);
            Observation {
                at: Timestamp::from_micros(at),
                capacity: Bytes::new(CAPACITY * factor),
                available: Bytes::new(available * factor),
                files: Inodes::new(1_000_000),
                files_free: Inodes::new(available >> 20),
            }
        })
        .collect()
}

fn history(observations: &[Observation]) -> History {
    let mut history = History::new();
    for seen in observations {
        history.observe(*seen);
    }
    history
}

fn seconds(span: Option<Span>) -> f64 {
    span.map_or(f64::INFINITY, Span::as_secs_f64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn shifting_time_changes_nothing(steps in steps(), shift in -1_000_000_000_000i64..1_000_000_000_000) {
        let below = Bytes::new(CAPACITY / 6);
        let plain = history(&observations(&steps, 0, 1)).forecast(below);
        prop_assert_eq!(plain, history(&observations(&steps, shift, 1)).forecast(below));
    }

    #[test]
    fn scaling_bytes_changes_nothing(steps in steps(), power in 0u32..20) {
        let below = CAPACITY / 6;
        let plain = history(&observations(&steps, 0, 1)).forecast(Bytes::new(below));
        let scaled = history(&observations(&steps, 0, 1 << power)).forecast(Bytes::new(below << power));
        prop_assert_eq!(plain, scaled);
    }

    #[test]
    fn quantiles_are_in_order_and_probabilities_rise(steps in steps(), part in 0.0f64..1.0, nearer in 0.0f64..1.0) {
        let history = history(&observations(&steps, 0, 1));
        let outlook = history.outlook();
        let far = Bytes::from_f64_saturating(part * Bytes::new(CAPACITY).as_f64() / 2.0);
        let near = Bytes::from_f64_saturating(far.as_f64() + nearer * (Bytes::new(CAPACITY).as_f64() / 2.0 - far.as_f64()));
        if let (Some(far), Some(near)) = (outlook.forecast(far), outlook.forecast(near)) {
            for forecast in [far, near] {
                prop_assert!(seconds(forecast.p10) <= seconds(forecast.p50));
                prop_assert!(seconds(forecast.p50) <= seconds(forecast.p90));
                for two in forecast.probability.windows(2) {
                    prop_assert!(two[0] <= two[1], "{:?}", forecast);
                }
                for p in forecast.probability {
                    prop_assert!((0.0..=1.0).contains(&p.get()), "{:?}", forecast);
                }
            }
            for horizon in Horizon::ALL {
                prop_assert!(far.within(horizon).get() <= near.within(horizon).get() + 1e-12, "{:?} {:?}", far, near);
            }
            prop_assert!(seconds(near.p50) <= seconds(far.p50) * (1.0 + 1e-9), "{:?} {:?}", far, near);
        }
    }

    #[test]
    fn a_flat_or_emptying_disk_never_alarms(
        noise in prop::collection::vec(-20i64..20, 10..400),
        emptying in 0u64..50,
        wait in 1i64..60,
        gap in prop::option::of(0usize..400),
    ) {
        let mut history = History::new();
        let mut at = START;
        for (i, noise) in noise.iter().enumerate() {
            at += wait * 1_000_000;
            // A hole of twenty minutes somewhere is no reason for an alarm either.
            if gap == Some(i) {
                at += 1_200_000_000;
            }
            let risen = u64::try_from(i).expect("small") * emptying;
            history.observe(Observation {
                at: Timestamp::from_micros(at),
                capacity: Bytes::new(CAPACITY),
                available: Bytes::from_mib((20_000 + risen).saturating_add_signed(*noise)),
                files: Inodes::new(1_000_000),
                files_free: Inodes::new(500_000),
            });
            // Within the first minute nobody can tell noise from a rate.
            if i % 10 == 9 && at - START > 60_000_000 && let Some(forecast) = history.forecast(Bytes::from_gib(16)) {
                prop_assert!(forecast.within(Horizon::HalfHour).get() < 0.5, "{} {:?}", i, forecast);
            }
        }
    }

    #[test]
    fn later_samples_do_not_change_earlier_forecasts(steps in steps(), cut in 0.0f64..1.0) {
        let all = observations(&steps, 0, 1);
        let cut = (1..all.len()).rev().find(|n| Span::from_secs_f64(cut * 400.0) >= Span::from_secs_f64(f64::from(u32::try_from(*n).expect("small")))).unwrap_or(1);
        let mut running = History::new();
        let mut streamed = None;
        for (seen, n) in all.iter().zip(1..) {
            running.observe(*seen);
            // Forecasts in between, which may change nothing either, cost most of the time here.
            if n == cut || n % 16 == 0 {
                let forecast = running.forecast(Bytes::new(CAPACITY / 6));
                streamed = if n == cut { forecast } else { streamed };
            }
        }
        prop_assert_eq!(streamed, history(&all[..cut]).forecast(Bytes::new(CAPACITY / 6)));
    }

    #[test]
    fn any_order_of_times_and_any_size_is_survived(
        seen in prop::collection::vec((any::<i64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()), 0..200),
        below in any::<u64>(),
    ) {
        let mut history = History::new();
        for (at, capacity, available, files, files_free) in seen {
            history.observe(Observation {
                at: Timestamp::from_micros(at),
                capacity: Bytes::new(capacity),
                available: Bytes::new(available),
                files: Inodes::new(files),
                files_free: Inodes::new(files_free),
            });
        }
        if let Some(forecast) = history.forecast(Bytes::new(below)) {
            prop_assert!(forecast.probability.iter().all(|p| (0.0..=1.0).contains(&p.get())), "{:?}", forecast);
        }
        let _rate = history.fill_rate();
        let _inodes = history.forecast_inodes(Inodes::new(below));
    }
}

#[test]
fn a_day_and_a_half_of_noise_fits_the_budget_and_survives_being_written_down() {
    let mut history = History::new();
    // Thinly sampled but for the last hour, which fills every store as full as the densest sampling would.
    let times = (0..2_100u64).map(|i| i * 60).chain((0..720).map(|i| 126_000 + i * 5));
    for (i, at) in (0..).zip(times) {
        history.observe(Observation {
            at: Timestamp::from_micros(START) + Span::from_secs(i64::try_from(at).expect("small")),
            capacity: Bytes::new(CAPACITY),
            available: Bytes::new(CAPACITY / 2 + (i * 7_919_993) % (1 << 30)),
            files: Inodes::new(10_000_000),
            files_free: Inodes::new(5_000_000 - (i * 7_919) % 1_000_000),
        });
    }
    assert!(history.state_bytes() <= 65_536, "{}", history.state_bytes());
    let text = serde_json::to_string(&history).expect("plain data");
    assert!(text.len() <= 65_536, "{}", text.len());
    let back: History = serde_json::from_str(&text).expect("what was written");
    assert_eq!(back.forecast(Bytes::new(CAPACITY / 6)), history.forecast(Bytes::new(CAPACITY / 6)));
}
