//! The four forms of an answer, each brought back to the bytes that the files hold.

use std::net::SocketAddr;

use end_to_end::http::{self, Answer};

use crate::{
    arrow,
    files::{Cells, Kind, Table},
};

/// `None` if the connection broke.
pub(crate) async fn ask(server: SocketAddr, path: &str) -> Option<Answer> {
    http::try_get(server, path).await
}

/// The columns of an answer, which must be those asked for.
pub(crate) fn decode(answer: &Answer, format: &str, table: Table, columns: &[&str]) -> Cells {
    let kinds: Vec<Kind> = columns.iter().map(|name| table.kind(name)).collect();
    let media_type = answer.header("content-type").unwrap();
    let (expected, cells) = match format {
        "binary" => ("application/octet-stream", binary(&answer.body, columns, &kinds)),
        "arrow" => ("application/vnd.apache.arrow.stream", arrow::read(&answer.body, columns, &kinds)),
        "csv" => ("text/csv; charset=utf-8; header=present", csv(&answer.text(), columns, &kinds)),
        _ => ("application/x-ndjson", json_lines(&answer.text(), columns, &kinds)),
    };
    assert_eq!(media_type, expected);
    Cells(cells)
}

fn binary(body: &[u8], columns: &[&str], kinds: &[Kind]) -> Vec<Vec<u8>> {
    let line = body.iter().position(|byte| *byte == b'\n').unwrap();
    let header: serde_json::Value = serde_json::from_slice(&body[..line]).unwrap();
    let mut rest = &body[line + 1..];
    let described = header["columns"].as_array().unwrap();
    assert_eq!(described.len(), columns.len());
    let mut found = Vec::new();
    for ((column, name), kind) in described.iter().zip(columns).zip(kinds) {
        let number = |key: &str| column[key].as_u64().unwrap() as usize;
        assert_eq!((column["name"].as_str().unwrap(), number("record_size")), (*name, kind.width()));
        assert_eq!(number("data_length"), number("num_records") * kind.width());
        let (bytes, after) = rest.split_at(number("data_length"));
        found.push(bytes.to_vec());
        rest = after;
    }
    assert!(rest.is_empty());
    found
}

fn csv(text: &str, columns: &[&str], kinds: &[Kind]) -> Vec<Vec<u8>> {
    let mut lines = text.split("\r\n");
    assert_eq!(lines.next().unwrap(), columns.join(","));
    let mut found = vec![Vec::new(); columns.len()];
    let lines: Vec<&str> = lines.collect();
    let (last, rows) = lines.split_last().unwrap();
    assert_eq!(*last, "", "the last line ends too");
    for row in rows {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells.len(), columns.len(), "{row}");
        for ((column, cell), kind) in found.iter_mut().zip(cells).zip(kinds) {
            column.extend(of_text(cell, *kind));
        }
    }
    found
}

fn json_lines(text: &str, columns: &[&str], kinds: &[Kind]) -> Vec<Vec<u8>> {
    let mut found = vec![Vec::new(); columns.len()];
    for line in text.lines() {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        assert_eq!(object.len(), columns.len());
        for ((column, name), kind) in found.iter_mut().zip(columns).zip(kinds) {
            let text = match &object[*name] {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.clone(),
                // The digits as they stand: a float must not take the way over another float.
                _ => number_of(line, name).to_owned(),
            };
            column.extend(of_text(&text, *kind));
        }
    }
    found
}

/// The characters of a number in a line.
fn number_of<'a>(line: &'a str, name: &str) -> &'a str {
    line.split_once(&format!("\"{name}\":")).unwrap().1.split([',', '}']).next().unwrap()
}

fn of_text(text: &str, kind: Kind) -> Vec<u8> {
    match kind {
        Kind::U32 => text.parse::<u32>().unwrap().to_le_bytes().to_vec(),
        Kind::U64 => text.parse::<u64>().unwrap().to_le_bytes().to_vec(),
        Kind::F32 if text.is_empty() => f32::NAN.to_le_bytes().to_vec(),
        Kind::F32 => text.parse::<f32>().unwrap().to_le_bytes().to_vec(),
        Kind::F64 if text.is_empty() => f64::NAN.to_le_bytes().to_vec(),
        Kind::F64 => text.parse::<f64>().unwrap().to_le_bytes().to_vec(),
        Kind::Uuid if text.is_empty() => vec![0; 16],
        Kind::Uuid => {
            assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            let digits = text.replace('-', "");
            (0..16).map(|at| u8::from_str_radix(&digits[at * 2..][..2], 16).unwrap()).collect()
        }
    }
}
