use super::*;
use crate::forecast::Horizon;

const GIB: f64 = 1_073_741_824.0;

fn observation(at: f64, available: f64) -> Observation {
    Observation {
        at: Timestamp::from_secs_f64(1_700_000_000.0 + at),
        capacity: Bytes::from_gib(100),
        available: Bytes::from_f64_saturating(available * GIB),
        files: Inodes::new(1_000_000),
        files_free: Inodes::new(500_000),
    }
}

/// Samples `level` (GiB at a second) every `step` seconds for `seconds`.
fn seen(step: f64, seconds: f64, level: impl Fn(f64) -> f64) -> History {
    let mut history = History::new();
    let mut at = 0.0;
    while at <= seconds {
        history.observe(observation(at, level(at)));
        at += step;
    }
    history
}

#[test]
fn after_a_minute_of_steady_fill_the_middle_is_within_a_fifth() {
    for step in [1.0, 2.0, 5.0] {
        for rate in [0.1, 0.05, 0.01, 0.002] {
            let history = seen(step, 60.0, |at| 40.0 - rate * at);
            let truth = (40.0 - rate * 60.0 - 16.0) / rate;
            let forecast = history.forecast(Bytes::from_gib(16)).expect("a minute was seen");
            let p50 = forecast.p50.expect("foreseen").as_secs_f64();
            assert!((p50 / truth - 1.0).abs() < 0.2, "every {step} s at {rate} GiB/s: {p50} for {truth}");
        }
    }
}

#[test]
fn five_seconds_give_a_rate_and_a_wide_forecast() {
    let history = seen(0.5, 5.0, |at| 40.0 - 0.1 * at);
    let rate = history.fill_rate().expect("eleven samples").get();
    assert!((rate / (0.1 * GIB) - 1.0).abs() < 0.01);
    let forecast = history.forecast(Bytes::from_gib(16)).expect("eleven samples");
    let (p10, p90) = (forecast.p10.expect("foreseen"), forecast.p90.expect("foreseen"));
    assert!(p90.as_secs_f64() > 1.5 * p10.as_secs_f64(), "{p10:?} {p90:?}");
}

#[test]
fn a_flat_or_emptying_disk_is_not_foreseen() {
    for minutes in [2.0, 10.0, 60.0, 600.0] {
        for rate in [0.0, -0.001] {
            let forecast =
                seen(15.0, minutes * 60.0, |at| 30.0 - rate * at).forecast(Bytes::from_gib(16)).expect("seen");
            assert_eq!(forecast.p50, None);
            assert!(forecast.within(Horizon::HalfHour).get() < 0.02, "{minutes} {forecast:?}");
            // Of nodes that were calm for hours some fill within the next six: the model knows that.
            assert!(forecast.within(Horizon::SixHours).get() < 0.12, "{minutes} {forecast:?}");
        }
    }
}

#[test]
fn a_steady_fill_after_hours_of_calm_is_within_a_fifth_after_two_minutes() {
    for step in [1.0, 5.0, 15.0] {
        let history = seen(step, 3_720.0, |at| 40.0 - 0.05 * (at - 3_600.0f64).max(0.0));
        let p50 =
            history.forecast(Bytes::from_gib(16)).and_then(|forecast| forecast.p50).expect("foreseen").as_secs_f64();
        assert!((p50 / 360.0 - 1.0).abs() < 0.2, "every {step} s: {p50}");
    }
}

#[test]
fn a_fill_in_bursts_alarms_and_a_pause_or_a_release_ends_the_alarm() {
    // 60 GiB free of 100, line at 16: ten seconds of 0.4 GiB/s, then ten of rest; a pause after two minutes.
    let burst = |at: f64| 4.0 * (at / 20.0).floor() + 0.4 * (at % 20.0).min(10.0);
    let alarm =
        |history: &History| history.forecast(Bytes::from_gib(16)).expect("seen").within(Horizon::HalfHour).get() >= 0.5;
    let level = |at: f64| 60.0 - burst((at - 60.0).clamp(0.0, 120.0));
    assert!(alarm(&seen(2.0, 140.0, level)));
    assert!(!alarm(&seen(2.0, 270.0, level)));
    assert!(!alarm(&seen(2.0, 150.0, |at| if at > 144.0 { 60.0 } else { level(at) })));
}

#[test]
fn a_level_that_was_passed_is_reached() {
    let history = seen(5.0, 60.0, |_| 10.0);
    assert_eq!(history.forecast(Bytes::from_gib(16)), Some(Forecast::REACHED));
    assert_eq!(seen(5.0, 60.0, |_| 0.0).forecast(Bytes::ZERO), Some(Forecast::REACHED));
}

#[test]
fn nothing_seen_is_nothing_said() {
    assert_eq!(History::new().fill_rate(), None);
    assert_eq!(seen(5.0, 5.0, |_| 10.0).forecast(Bytes::ZERO), None);
}

#[test]
fn a_clock_set_back_costs_no_history() {
    let mut history = seen(5.0, 120.0, |at| 40.0 - 0.1 * at);
    for step in 0..5 {
        let at = f64::from(step) * 5.0;
        history.observe(observation(at - 3_600.0, 28.0 - 0.1 * at));
    }
    let rate = history.fill_rate().expect("known").get();
    assert!((rate / (0.1 * GIB) - 1.0).abs() < 0.05, "{rate}");
}

#[test]
fn inodes_are_forecast_like_bytes_and_unknown_ones_are_not() {
    let mut history = History::new();
    let mut uncounted = History::new();
    for second in 0..=60u32 {
        let seen = observation(f64::from(second), 40.0);
        history.observe(Observation { files_free: Inodes::new(500_000 - u64::from(second) * 1_000), ..seen });
        uncounted.observe(Observation { files: Inodes::new(0), files_free: Inodes::new(0), ..seen });
    }
    // 440,000 free, 1,000 fewer each second: 50,000 are left in 390 s.
    let p50 = history.forecast_inodes(Inodes::new(50_000)).and_then(|forecast| forecast.p50).expect("foreseen");
    assert!((p50.as_secs_f64() / 390.0 - 1.0).abs() < 0.2, "{p50}");
    assert_eq!(uncounted.forecast_inodes(Inodes::new(50_000)), None);
}

#[test]
fn a_resize_of_the_disk_is_no_fill() {
    let mut history = seen(5.0, 1_800.0, |_| 60.0);
    for step in 1..=12 {
        let seen = observation(1_800.0 + f64::from(step) * 5.0, 40.0);
        history.observe(Observation { capacity: Bytes::from_gib(80), ..seen });
    }
    assert_eq!(history.fill_rate(), Some(ByteRate::new(0.0)));
    let forecast = history.forecast(Bytes::from_gib(13)).expect("half an hour was seen");
    assert!(forecast.within(Horizon::HalfHour).get() < 0.02, "{forecast:?}");
}

#[test]
fn the_past_has_one_value_a_minute_with_its_time() {
    let history = seen(15.0, 330.0, |at| 40.0 - at / 60.0);
    let past: Vec<(f64, f64)> = history
        .past(4)
        .into_iter()
        .map(|moment| {
            (moment.at.as_secs_f64() - 1_700_000_000.0, (moment.available.as_f64() / GIB * 10.0).round() / 10.0)
        })
        .collect();
    assert_eq!(past, [(180.0, 37.0), (240.0, 36.0), (300.0, 35.0), (330.0, 34.5)]);
    assert_eq!(history.past(1_000).len(), 7);
}

#[test]
fn minutes_without_a_sample_are_not_in_the_past() {
    let mut history = seen(15.0, 120.0, |_| 40.0);
    history.observe(observation(600.0, 30.0));
    let times = |history: &History| {
        history.past(60).iter().map(|moment| moment.at.as_secs_f64() - 1_700_000_000.0).collect::<Vec<_>>()
    };
    assert_eq!(times(&history), [0.0, 60.0, 120.0, 600.0]);
    assert_eq!(History::new().past(60), []);
}
