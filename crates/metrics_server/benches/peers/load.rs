//! A client that keeps connections open and asks again and again.

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// One kept-alive connection.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    request: String,
}

impl Connection {
    /// `headers` are whole lines with their ends.
    pub(crate) async fn open(address: SocketAddr, headers: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream), request: request(address, headers) })
    }

    /// Asks with other headers from now on.
    pub(crate) fn set_headers(&mut self, address: SocketAddr, headers: &str) {
        self.request = request(address, headers);
    }

    /// Status code and number of bytes of one answer.
    pub(crate) async fn scrape(&mut self) -> std::io::Result<(u16, usize)> {
        self.stream.get_mut().write_all(self.request.as_bytes()).await?;
        let mut head = Vec::with_capacity(512);
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(nonsense)?;
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let bytes = match header("content-length:") {
            Some(length) => self.skip(length.parse().map_err(|_| nonsense())?).await?,
            None => self.skip_chunks().await?,
        };
        Ok((status, bytes))
    }

    async fn skip_chunks(&mut self) -> std::io::Result<usize> {
        let mut total = 0;
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(self.stream.read_u8().await?);
            }
            let length = String::from_utf8_lossy(&line);
            let length = usize::from_str_radix(length.trim(), 16).map_err(|_| nonsense())?;
            self.skip(length + 2).await?;
            total += length;
            if length == 0 {
                return Ok(total);
            }
        }
    }

    async fn skip(&mut self, length: usize) -> std::io::Result<usize> {
        let mut left = length;
        while left > 0 {
            let here = self.stream.fill_buf().await?.len().min(left);
            if here == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.stream.consume(here);
            left -= here;
        }
        Ok(length)
    }
}

fn request(address: SocketAddr, headers: &str) -> String {
    format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n")
}

fn nonsense() -> std::io::Error {
    std::io::Error::other("not an answer")
}

/// Scrapes per second of `connections` that each ask again as soon as they are answered, and bytes of one answer.
pub(crate) async fn scrapes_per_second(
    address: SocketAddr,
    connections: usize,
    headers: &str,
    time: Duration,
) -> (f64, usize) {
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let headers = headers.to_owned();
        tasks.spawn(async move {
            let mut connection = Connection::open(address, &headers).await.expect("the server listens");
            let (mut count, mut size) = (0, 0);
            while start.elapsed() < time {
                let (status, bytes) = connection.scrape().await.expect("an answer");
                assert_eq!(status, 200);
                (count, size) = (count + 1, bytes);
            }
            (count, size)
        });
    }
    let (mut total, mut size) = (0, 0);
    while let Some(ended) = tasks.join_next().await {
        let (count, bytes) = ended.expect("no panic");
        (total, size) = (total + count, bytes);
    }
    (f64::from(total) / start.elapsed().as_secs_f64(), size)
}
