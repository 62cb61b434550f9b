//! What a venue lists, and its file in the data directory, which the data server reads as well.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use column_store::layout;
use exchange_protocol::{Decimal, Instrument, InstrumentStatus, Venue};
use serde::{Deserialize, Serialize};

/// All instruments of a venue.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Listing {
    pub(crate) exchange: String,
    /// Our clock when the venue told it, ns since the Unix epoch.
    pub(crate) fetched_ns: u64,
    pub(crate) instruments: Vec<Listed>,
}

/// An instrument, in the venue's spelling.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Listed {
    pub(crate) symbol: String,
    /// Its directory.
    pub(crate) stored: String,
    pub(crate) base: String,
    pub(crate) quote: String,
    pub(crate) tick_size: Option<String>,
    pub(crate) lot_size: Option<String>,
    pub(crate) status: Status,
}

/// [`InstrumentStatus`], in the file's words.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Trading,
    Limited,
    Gone,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Status::Trading => "trading",
            Status::Limited => "limited",
            Status::Gone => "gone",
        }
    }
}

/// The name in the exchange's directory.
const FILE: &str = "instruments.json";
/// Binance's has some 4,000 instruments and less than 1 MB.
const LARGEST_FILE: u64 = 64 << 20;

impl Listing {
    /// Instruments whose name cannot be a directory are left out: they could not be recorded.
    pub(crate) fn new(venue: &dyn Venue, fetched_ns: u64, instruments: Vec<Instrument>) -> Listing {
        // Not in scientific notation, and exact: sizes have few digits.
        let text = |decimal: Option<Decimal>| decimal.map(|decimal| decimal.value.to_string());
        let listed = |instrument: Instrument| {
            let stored = layout::symbol_directory(&venue.stored_symbol(&instrument.symbol)).ok()?;
            Some(Listed {
                stored,
                symbol: instrument.symbol,
                base: instrument.base,
                quote: instrument.quote,
                tick_size: text(instrument.tick_size),
                lot_size: text(instrument.lot_size),
                status: match instrument.status {
                    InstrumentStatus::Trading => Status::Trading,
                    InstrumentStatus::Limited => Status::Limited,
                    InstrumentStatus::Gone => Status::Gone,
                },
            })
        };
        let mut instruments: Vec<Listed> = instruments.into_iter().filter_map(listed).collect();
        instruments.sort_by(|a, b| a.symbol.cmp(&b.symbol));
        instruments.dedup_by(|a, b| a.symbol == b.symbol);
        Listing { exchange: venue.facts().name.to_owned(), fetched_ns, instruments }
    }

    pub(crate) fn get(&self, symbol: &str) -> Option<&Listed> {
        let at = self.instruments.binary_search_by(|listed| listed.symbol.as_str().cmp(symbol)).ok()?;
        self.instruments.get(at)
    }

    fn path(data_path: &Path, exchange: &str) -> PathBuf {
        data_path.join(exchange).join(FILE)
    }

    /// The last listing of a venue; none if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or is none of ours.
    pub(crate) fn read(data_path: &Path, exchange: &str) -> io::Result<Option<Listing>> {
        let path = Listing::path(data_path, exchange);
        let of_file = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if metadata.len() > LARGEST_FILE => {
                return Err(of_file(io::Error::other(format!("it has more than {LARGEST_FILE} bytes"))));
            }
            _ => {}
        }
        let text = fs::read(&path).map_err(of_file)?;
        let mut listing: Listing = serde_json::from_slice(&text).map_err(|error| of_file(error.into()))?;
        if listing.exchange != exchange {
            return Err(of_file(io::Error::other(format!("it is of {}", listing.exchange))));
        }
        listing.instruments.sort_by(|a, b| a.symbol.cmp(&b.symbol));
        Ok(Some(listing))
    }

    /// Replaces the file as a whole.
    ///
    /// # Errors
    /// The disk says no; the file is as it was.
    pub(crate) fn write(&self, data_path: &Path) -> io::Result<()> {
        let path = Listing::path(data_path, &self.exchange);
        let directory = data_path.join(&self.exchange);
        fs::create_dir_all(&directory)?;
        let temporary = path.with_extension("json.tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&directory)?.sync_all()
    }
}
