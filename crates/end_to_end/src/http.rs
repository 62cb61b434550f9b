//! The plainest HTTP/1.1 client there is: one request, one connection.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines, as sent.
    pub headers: Vec<String>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value; names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (this, value) = line.split_once(": ")?;
            this.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// `GET path`; `None` while nobody listens there or the connection breaks.
pub async fn try_get(address: SocketAddr, path: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.ok()?;
    let end = all.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(all[..end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let answer = Answer { status, headers: lines.map(str::to_owned).collect(), body: all[end + 4..].to_vec() };
    let answer = match answer.header("transfer-encoding") {
        Some(_) => Answer { body: unchunk(&answer.body)?, ..answer },
        None => answer,
    };
    if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().unwrap();
        assert!(answer.body.len() <= length, "{path}: {} bytes, though content-length is {length}", answer.body.len());
        // Less is a connection that broke.
        return (answer.body.len() == length).then_some(answer);
    }
    Some(answer)
}

fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..end]).ok()?, 16).ok()?;
        let chunk = &body[end + 2..];
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(chunk.get(..size)?);
        body = chunk.get(size + 2..)?;
    }
}

/// `GET path` of a server that must be there.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    try_get(address, path).await.unwrap_or_else(|| panic!("no answer from http://{address}{path}"))
}
