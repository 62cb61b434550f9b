//! Which queries ask for the stored bytes of whole seconds, evenly spaced: those that the data path answers by itself.

/// Parameters that ask for more: another form, a choice of rows, a range to the nanosecond.
const OTHERS: [&[u8]; 5] = [b"format", b"reduce", b"reduce_column", b"start_ns", b"end_ns"];

/// Whether a raw query is such a one. False also where a name is written in an unusual way.
pub(crate) fn is_plain(query: &str) -> bool {
    let is_other = |pair: &[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        OTHERS.contains(&name) || name.iter().any(|byte| matches!(byte, b'%' | b'+'))
    };
    let mut pairs = query.as_bytes().split(|byte| *byte == b'&');
    !query.as_bytes().contains(&b'#') && !pairs.any(is_other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_more_is_not_plain() {
        for query in ["format=csv", "a=b&reduce=minmax", "start_ns=1", "%66ormat=csv", "end%5Fns=2", "format", "a#"] {
            assert!(!is_plain(query), "{query}");
        }
        for query in
            ["", "symbol=A&start=1&end=2&columns=time%2Cprice", "xformat=csv", "columns=a_ns,b", "max_points=5"]
        {
            assert!(is_plain(query), "{query}");
        }
    }
}
