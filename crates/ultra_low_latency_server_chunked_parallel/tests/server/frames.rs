//! HTTP/2 frames, written and read as RFC 9113 draws them, right or wrong.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use crate::client::connect;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const WITH_PRIORITY: u8 = 32;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// Fields as literals that are never indexed, without compression.
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0x10], text(name), text(value)].concat()).collect()
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// An error's number.
pub(crate) fn code(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}

/// What the server does about something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It ends the connection with this error.
    Connection(u32),
    /// It ends a stream with this error.
    Stream(u32),
    /// It goes on: a ping is answered.
    Alive,
    /// It answers the request.
    Answered,
    /// It hung up without a word.
    Closed,
}

pub(crate) struct Http2(pub(crate) TcpStream);

impl Http2 {
    /// A connection with the settings of both sides exchanged.
    pub(crate) fn open(server: SocketAddr) -> Http2 {
        let mut opened = Http2(connect(server));
        opened.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        let settings = opened.next().unwrap();
        assert_eq!((settings.kind, settings.flags & ACK), (SETTINGS, 0), "the first frame are the server's settings");
        opened.send(&frame(SETTINGS, ACK, 0, &[]));
        opened
    }

    /// The server may have hung up before it has all.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        _ = self.0.write_all(bytes);
    }

    /// `None` once the server has hung up.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.read(&mut head)?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.read(&mut payload)?;
        let stream = u32::from_be_bytes([head[5] & 0x7F, head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    fn read(&mut self, bytes: &mut [u8]) -> Option<()> {
        match self.0.read_exact(bytes) {
            Ok(()) => Some(()),
            Err(error) if [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].contains(&error.kind()) => None,
            Err(error) => panic!("the server neither answers nor hangs up: {error}"),
        }
    }

    /// Sends frames, and looks what comes of their stream.
    pub(crate) fn told_of_stream(&mut self, frames: &[u8]) -> Told {
        self.send(frames);
        loop {
            match self.next() {
                Some(Frame { kind: GOAWAY, payload, .. }) => return Told::Connection(code(&payload[4..8])),
                Some(Frame { kind: RST_STREAM, payload, .. }) => return Told::Stream(code(&payload)),
                Some(Frame { kind: HEADERS, .. }) => return Told::Answered,
                Some(_) => {}
                None => return Told::Closed,
            }
        }
    }

    /// Sends frames and a ping after them, and looks what comes of them.
    pub(crate) fn told(&mut self, frames: &[u8]) -> Told {
        const OURS: &[u8] = b"are you?";
        self.send(&[frames, &frame(PING, 0, 0, OURS)].concat());
        loop {
            match self.next() {
                Some(Frame { kind: GOAWAY, payload, .. }) if code(&payload[4..8]) != 0 => {
                    return Told::Connection(code(&payload[4..8]));
                }
                Some(Frame { kind: PING, flags: ACK, payload, .. }) if payload == OURS => return Told::Alive,
                Some(_) => {}
                None => return Told::Closed,
            }
        }
    }
}
