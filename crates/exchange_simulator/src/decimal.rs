//! Exact decimal numbers, printed the way a venue prints them.

/// `units` × 10^-`scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    units: u64,
    scale: u8,
}

impl Decimal {
    /// The number `units` × 10^-`scale`.
    pub(crate) const fn new(units: u64, scale: u8) -> Self {
        Self { units, scale }
    }

    /// The digits without the point.
    pub(crate) const fn units(self) -> u64 {
        self.units
    }

    /// As text with exactly `places` decimals; `places` must not be below the number's own scale (it is then used instead).
    pub(crate) fn padded(self, places: u8) -> String {
        let places = usize::from(places.max(self.scale));
        let scale = usize::from(self.scale);
        let whole_and_fraction = format!("{:0>width$}", self.units, width = scale + 1);
        let (whole, fraction) = whole_and_fraction.split_at(whole_and_fraction.len() - scale);
        if places == 0 { whole.to_owned() } else { format!("{whole}.{fraction:0<places$}") }
    }

    /// As text without trailing zeros: `0.04`, `70`.
    pub(crate) fn trimmed(self) -> String {
        let padded = self.padded(self.scale);
        if padded.contains('.') { padded.trim_end_matches('0').trim_end_matches('.').to_owned() } else { padded }
    }

    /// The sum of two numbers of one scale.
    pub(crate) fn plus(self, other: Self) -> Self {
        debug_assert_eq!(self.scale, other.scale, "sizes of one instrument have one scale");
        Self { units: self.units.saturating_add(other.units), scale: self.scale }
    }

    /// The product, cut off at eight decimals.
    pub(crate) fn times(self, other: Self) -> Self {
        let product = u128::from(self.units) * u128::from(other.units);
        let scale = u32::from(self.scale) + u32::from(other.scale);
        let units = if scale >= 8 { product / 10_u128.pow(scale - 8) } else { product * 10_u128.pow(8 - scale) };
        Self { units: u64::try_from(units).unwrap_or(u64::MAX), scale: 8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_like_the_venues() {
        for (units, scale, trimmed, padded) in [
            (4, 2, "0.04", "0.04000000"),
            (147_775, 4, "14.7775", "14.77750000"),
            (147_550, 4, "14.755", "14.75500000"),
            (70, 0, "70", "70.00000000"),
            (812, 8, "0.00000812", "0.00000812"),
            (9_700_000, 2, "97000", "97000.00000000"),
            (0, 3, "0", "0.00000000"),
        ] {
            let decimal = Decimal::new(units, scale);
            assert_eq!(decimal.trimmed(), trimmed);
            assert_eq!(decimal.padded(8), padded);
        }
        assert_eq!(Decimal::new(70, 0).padded(0), "70");
        assert_eq!(Decimal::new(147_550, 4).padded(4), "14.7550");
    }

    #[test]
    fn multiplies_to_eight_decimals() {
        assert_eq!(Decimal::new(9_700_050, 2).times(Decimal::new(15, 1)).padded(8), "145500.75000000");
        assert_eq!(Decimal::new(1, 8).times(Decimal::new(1, 8)).units(), 0);
        assert_eq!(Decimal::new(3, 0).times(Decimal::new(2, 0)).padded(8), "6.00000000");
    }
}
