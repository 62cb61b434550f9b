//! The store's own audit of a data directory, by what each venue promises of its trade ids.

use std::path::Path;

use column_store::{Audit, IdRule, Rules, StoreError, Table, Totals};
use exchange_simulator::VenueKind;

/// What ids of the venue's trades prove.
pub fn id_rule(venue: VenueKind) -> IdRule {
    if venue == VenueKind::Bitfinex { IdRule::Unique } else { IdRule::Contiguous }
}

/// Audits the directory, in which these venues are recorded.
///
/// # Errors
/// The directory cannot be read.
pub fn audit(data: &Path, venues: &[VenueKind]) -> Result<Totals, StoreError> {
    let rule = |venue: &VenueKind| ((venue.name().to_owned(), Table::Trades), id_rule(*venue));
    let rules = venues.iter().map(rule).collect::<Rules>();
    column_store::verify(data, &Audit { rules, ..Audit::default() }, &mut |_| {}, &mut |_| {})
}
