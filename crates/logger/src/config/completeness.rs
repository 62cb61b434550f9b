//! When what is missing is asked about, and when a day is over.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::{ConfigError, as_duration, duration, value, within};

/// Times of the completeness of the record.
#[derive(Clone, Debug, Serialize)]
pub struct Completeness {
    /// Live trades of a symbol wait at most this long while a gap before them is being filled.
    #[serde(serialize_with = "as_duration")]
    pub hold: Duration,
    /// A trade that the venue tells of is missing if it has not come after this long.
    #[serde(serialize_with = "as_duration")]
    pub claim_grace: Duration,
    /// A symbol that is quiet for this long is asked about, and then less and less often while nothing was missed.
    #[serde(serialize_with = "as_duration")]
    pub quiet_poll: Duration,
    /// A question that nothing was heard of for this long is asked again.
    #[serde(serialize_with = "as_duration")]
    pub answer_timeout: Duration,
    /// What an answer left missing is asked for again after these pauses; after the last answer it is lost.
    #[serde(serialize_with = "as_durations")]
    pub retries: Vec<Duration>,
    /// A day is sealed when it has been over for this long.
    #[serde(serialize_with = "as_duration")]
    pub seal_delay: Duration,
}

impl Default for Completeness {
    fn default() -> Completeness {
        Completeness {
            hold: Duration::from_secs(10),
            claim_grace: Duration::from_secs(2),
            quiet_poll: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(900),
            retries: [2, 10, 60].map(Duration::from_secs).to_vec(),
            seal_delay: Duration::from_secs(600),
        }
    }
}

impl Completeness {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        within("completeness.hold", self.hold, 0, 10_000)?;
        within("completeness.claim_grace", self.claim_grace, 10, 60_000)?;
        within("completeness.quiet_poll", self.quiet_poll, 1_000, MOST_MS)?;
        within("completeness.answer_timeout", self.answer_timeout, LEAST_ANSWER_MS, MOST_MS)?;
        if self.retries.len() > MOST_RETRIES {
            return Err(value("completeness.retries", format!("has more than {MOST_RETRIES} pauses")));
        }
        for pause in &self.retries {
            within("completeness.retries", *pause, 100, 3_600_000)?;
        }
        let least = u64::try_from(Duration::from_nanos(column_store::SEAL_DELAY_NS).as_millis()).unwrap_or(u64::MAX);
        within("completeness.seal_delay", self.seal_delay, least, 86_400_000)
    }
}

const MOST_RETRIES: usize = 16;
/// A question may wait ten minutes for its turn before it fails.
const LEAST_ANSWER_MS: u64 = 660_000;
/// 30 days.
const MOST_MS: u64 = 2_592_000_000;

/// The keys of the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default, deserialize_with = "duration")]
    hold: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    claim_grace: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    quiet_poll: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    answer_timeout: Option<Duration>,
    retries: Option<Vec<String>>,
    #[serde(default, deserialize_with = "duration")]
    seal_delay: Option<Duration>,
}

impl File {
    pub(super) fn or_default(self) -> Result<Completeness, ConfigError> {
        let default = Completeness::default();
        let pause = |text: String| {
            humantime::parse_duration(&text).map_err(|error| {
                value("completeness.retries", format!("`{text}` is not a duration such as 500ms or 5s: {error}"))
            })
        };
        let retries = self.retries.map(|pauses| pauses.into_iter().map(pause).collect::<Result<Vec<_>, _>>());
        Ok(Completeness {
            hold: self.hold.unwrap_or(default.hold),
            claim_grace: self.claim_grace.unwrap_or(default.claim_grace),
            quiet_poll: self.quiet_poll.unwrap_or(default.quiet_poll),
            answer_timeout: self.answer_timeout.unwrap_or(default.answer_timeout),
            retries: retries.transpose()?.unwrap_or(default.retries),
            seal_delay: self.seal_delay.unwrap_or(default.seal_delay),
        })
    }
}

fn as_durations<S: Serializer>(durations: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(durations.iter().map(|duration| humantime::format_duration(*duration).to_string()))
}
