//! A client that shows every byte, and understands the header line as chart clients do.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::DEADLINE;

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In the order received, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// One column of a data answer.
#[derive(Debug, PartialEq)]
pub(crate) struct ReceivedColumn {
    pub(crate) name: String,
    pub(crate) record_size: u64,
    pub(crate) num_records: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{} {:?}", String::from_utf8_lossy(&self.body), self.headers);
        self
    }

    /// The columns of a data answer, sliced by `data_length`, after checking that the lengths add up.
    #[track_caller]
    pub(crate) fn columns(&self) -> Vec<ReceivedColumn> {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        let newline = self.body.iter().position(|byte| *byte == b'\n').unwrap();
        let header: serde_json::Value = serde_json::from_slice(&self.body[..newline]).unwrap();
        let mut data = &self.body[newline + 1..];
        let columns = header["columns"].as_array().unwrap().iter().map(|column| {
            let number = |name: &str| column[name].as_u64().unwrap();
            let length = number("data_length");
            assert_eq!(length, number("num_records") * number("record_size"));
            let (bytes, rest) = data.split_at(length as usize);
            data = rest;
            let name = column["name"].as_str().unwrap().to_owned();
            ReceivedColumn {
                name,
                record_size: number("record_size"),
                num_records: number("num_records"),
                bytes: bytes.to_vec(),
            }
        });
        let columns = columns.collect();
        assert!(data.is_empty(), "{} bytes too many", data.len());
        columns
    }

    /// The first column as `u32` cells.
    #[track_caller]
    pub(crate) fn u32s(&self) -> Vec<u32> {
        u32s(&self.columns()[0].bytes)
    }
}

pub(crate) fn u32s(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|cell| u32::from_le_bytes(cell.try_into().unwrap())).collect()
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends a request head and nothing else.
pub(crate) fn send(stream: &mut TcpStream, method: &str, target: &str) {
    stream.write_all(format!("{method} {target} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).unwrap();
}

/// One request on a connection of its own.
#[track_caller]
pub(crate) fn request(address: SocketAddr, method: &str, target: &str) -> Answer {
    let mut stream = connect(address);
    send(&mut stream, method, target);
    receive(&mut stream, method == "HEAD").unwrap()
}

#[track_caller]
pub(crate) fn get(address: SocketAddr, target: &str) -> Answer {
    request(address, "GET", target)
}

/// Reads a head, byte by byte, so that nothing of the body is taken.
pub(crate) fn receive_head(stream: &mut impl Read) -> io::Result<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    };
    Ok(Answer { status, headers: lines.map(header).collect(), body: Vec::new() })
}

/// Reads an answer; the server says how long it is, except of text, and one to HEAD has no body.
pub(crate) fn receive(stream: &mut impl Read, is_head: bool) -> io::Result<Answer> {
    let mut answer = receive_head(stream)?;
    if answer.header("transfer-encoding").is_some() {
        let content_type = answer.header("content-type").unwrap();
        assert!(["text/csv", "application/x-ndjson"].iter().any(|text| content_type.starts_with(text)));
        assert_eq!(answer.header("content-length"), None);
        if !is_head {
            answer.body = receive_chunks(stream)?;
        }
    } else if !is_head {
        let length = answer.header("content-length").unwrap_or("0").parse().unwrap();
        answer.body = vec![0; length];
        stream.read_exact(&mut answer.body)?;
    }
    Ok(answer)
}

fn receive_chunks(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            line.extend(byte);
        }
        let length = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk)?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

/// Reads until the end and returns how many bytes came; a reset is an end too.
pub(crate) fn drain(stream: &mut impl Read) -> u64 {
    let mut total = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return total,
            Ok(length) => total += length as u64,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return total,
            Err(error) => panic!("{error}"),
        }
    }
}
