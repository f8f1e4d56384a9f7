//! The kernel's rate estimator.

/// The kernel's rate estimator of an object, as tc's `estimator INTERVAL TIME-CONSTANT` asks for it (`struct
/// tc_estimator`). The kernel never says it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimator {
    /// The interval between measurements: a quarter of a second, times two to the power of this plus 2.
    pub interval: i8,
    /// How slowly the average follows: the time constant as a power of two of intervals.
    pub ewma_log: u8,
}

impl Estimator {
    /// As tc chooses it for an interval and a time constant in microseconds (iproute2, `tc_setup_estimator`); `None`
    /// where they are out of range: the interval is at most 8 seconds, and the constant longer than about it.
    pub fn of(interval: u64, time_constant: u64) -> Option<Estimator> {
        let step = (0..=5_i8).find(|step| interval <= 250_000 << step)?;
        let fits = |log: &u8| {
            let weight = 1.0 - 1.0 / (1_u64 << log) as f64;
            interval as f64 / -weight.ln() > time_constant as f64
        };
        let ewma_log = (1..32_u8).find(fits).unwrap_or(32) - 1;
        (1..31).contains(&ewma_log).then_some(Estimator { interval: step - 2, ewma_log })
    }

    /// tc's two words for it, in microseconds: read again they are the same.
    pub fn tc(self) -> [String; 2] {
        let interval = 250_000_u64 << (self.interval + 2).clamp(0, 5);
        let weight = 1.0 - 1.0 / (1_u64 << self.ewma_log.min(31)) as f64;
        [interval.to_string(), ((interval as f64 / -weight.ln()).ceil() as u64).to_string()]
    }
}
