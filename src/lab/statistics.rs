//! The few statistics that the experiments need.

/// The mean; 0 of nothing.
#[must_use]
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count == 0.0 { 0.0 } else { sum / count }
}

/// The value below which this share of the values lies (nearest rank); 0 of nothing.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(0.0)
}

/// The slope of the line that fits the points best (least squares).
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let (mean_x, mean_y) = (mean(points.iter().map(|p| p.0)), mean(points.iter().map(|p| p.1)));
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x) * (x - mean_x)).sum();
    covariance / variance
}

/// 1.96 deviations to either side hold 95 % of a normal distribution.
const Z: f64 = 1.96;

/// Half the width of the 95 % interval of a share, when `hits` of `trials` independent ones hit (Wilson).
#[must_use]
pub fn wilson(hits: f64, trials: f64) -> f64 {
    let share = hits / trials;
    let spread = share * (1.0 - share) / trials + Z * Z / (4.0 * trials * trials);
    Z * libm::sqrt(spread) / (1.0 + Z * Z / trials)
}

/// Half the width of the 95 % interval of a mean, from the scatter between trials; 0 of fewer than three.
#[must_use]
pub fn interval(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 3.0 {
        return 0.0;
    }
    let middle = mean(values.iter().copied());
    let variance = values.iter().map(|value| (value - middle) * (value - middle)).sum::<f64>() / (n - 1.0);
    // Student's t exceeds the normal quantile by about 2.4 / (n - 1) at the 95 % level.
    (Z + 2.4 / (n - 1.0)) * libm::sqrt(variance / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(mean([1.0, 2.0, 6.0]), 3.0);
        assert_eq!(quantile(&[5.0, 1.0, 3.0], 0.5), 3.0);
        assert_eq!(quantile(&(1..=100).map(f64::from).collect::<Vec<_>>(), 0.99), 99.0);
        assert!((slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 2.0).abs() < 1e-12);
        // 10 of 100: the textbook interval is 5.5 % to 17.4 %.
        assert!((wilson(10.0, 100.0) - 0.0596).abs() < 1e-3);
        // t(4) = 2.776, deviation sqrt(2.5), of five values.
        assert!((interval(&[1.0, 2.0, 3.0, 4.0, 5.0]) - 1.963).abs() < 0.2);
    }
}
