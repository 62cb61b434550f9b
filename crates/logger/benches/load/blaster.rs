//! The venue's side of the connections: a thread for each.

use std::{
    io::{ErrorKind, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket, accept};

use crate::{block::Block, scenario::Rate, venue::Venue};

/// Frames written at once; small enough that a rate is even.
const FRAMES_AT_ONCE: usize = 250;

/// How often a venue with heartbeats sends one before anything else.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A venue that waits until everything is subscribed, then sends.
pub(crate) struct Blaster {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    venue: Venue,
    rate: Rate,
    state: Mutex<State>,
    changed: Condvar,
    ended: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Streams asked for and acknowledged, over all connections.
    streams: usize,
    connections: usize,
    /// When sending begins and ends.
    span: Option<(Instant, Instant)>,
    sent: Vec<Sent>,
}

/// What a connection was sent.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) symbols: Vec<String>,
    pub(crate) rounds: u64,
    pub(crate) frames: u64,
}

impl Blaster {
    pub(crate) fn start(venue: Venue, rate: Rate) -> Blaster {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { venue, rate, state, changed, ended: AtomicBool::new(false) });
        std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming() {
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || shared.serve(stream.unwrap()));
                }
            }
        });
        Blaster { address, shared }
    }

    /// Waits until so many streams are subscribed.
    pub(crate) fn wait_for_streams(&self, wanted: usize) {
        let state = self.shared.state.lock().unwrap();
        let limit = Duration::from_secs(120);
        let wait = self.shared.changed.wait_timeout_while(state, limit, |state| state.streams < wanted);
        let (state, timeout) = wait.unwrap();
        assert!(!timeout.timed_out(), "{} of {wanted} streams were subscribed", state.streams);
    }

    /// Sends for so long, and says what was sent.
    pub(crate) fn send(&self, length: Duration) -> Vec<Sent> {
        let mut state = self.shared.state.lock().unwrap();
        let start = Instant::now();
        state.span = Some((start, start + length));
        self.shared.changed.notify_all();
        let done = |state: &mut State| state.sent.len() < state.connections;
        let (state, timeout) =
            self.shared.changed.wait_timeout_while(state, length + Duration::from_secs(60), done).unwrap();
        assert!(!timeout.timed_out(), "the logger does not read");
        state.sent.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.state.lock().unwrap().connections
    }
}

impl Drop for Blaster {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        // Questions over HTTP find nobody here.
        let Ok(mut socket) = accept(stream) else { return };
        socket.get_mut().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut symbols: Vec<String> = Vec::new();
        self.state.lock().unwrap().connections += 1;
        let mut beat = Instant::now();
        let span = loop {
            self.answer(&mut socket, &mut symbols);
            if let Some(heartbeat) = self.venue.heartbeat().filter(|_| beat.elapsed() >= HEARTBEAT) {
                beat = Instant::now();
                if socket.send(Message::text(heartbeat)).is_err() {
                    return;
                }
            }
            if let Some(span) = self.state.lock().unwrap().span {
                break span;
            }
        };
        let sent = self.blast(&mut socket, symbols, span);
        self.state.lock().unwrap().sent.push(sent);
        self.changed.notify_all();
        // Whatever the logger asks or says until it ends.
        let mut is_open = true;
        while is_open && !self.ended.load(Ordering::Relaxed) {
            is_open = self.answer(&mut socket, &mut Vec::new());
        }
    }

    /// Reads one message and answers it; false when the connection ended.
    fn answer(&self, socket: &mut WebSocket<TcpStream>, symbols: &mut Vec<String>) -> bool {
        match socket.read() {
            Ok(Message::Text(text)) => {
                let Some(asked) = self.venue.asked(&text) else { return true };
                for answer in asked.answers {
                    socket.send(Message::text(answer)).unwrap();
                }
                self.state.lock().unwrap().streams += asked.symbols.len();
                for symbol in asked.symbols {
                    if !symbols.contains(&symbol) {
                        symbols.push(symbol);
                    }
                }
                self.changed.notify_all();
                true
            }
            Err(tungstenite::Error::Io(error)) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            Err(_) => false,
            // The library has answered a ping.
            Ok(_) => socket.flush().is_ok(),
        }
    }

    fn blast(&self, socket: &mut WebSocket<TcpStream>, symbols: Vec<String>, (start, end): (Instant, Instant)) -> Sent {
        let mut block = Block::new(self.venue, &symbols);
        let per_second = match self.rate {
            Rate::Flood => f64::INFINITY,
            Rate::PerSecond(rate) => rate as f64 / self.state.lock().unwrap().connections as f64,
        };
        let (mut rounds, mut frames) = (0, 0);
        // Only whole rounds, so that what must be in the files follows from their number.
        while Instant::now() < end {
            for first in (0..block.len()).step_by(FRAMES_AT_ONCE) {
                let due = start + Duration::from_secs_f64(f64::from(frames) / per_second);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let time = self.venue.time(Timestamp::now());
                socket.get_mut().write_all(block.part(rounds, first, FRAMES_AT_ONCE, &time)).unwrap();
                frames += u32::try_from(FRAMES_AT_ONCE.min(block.len() - first)).unwrap();
            }
            rounds += 1;
        }
        Sent { symbols, rounds, frames: frames.into() }
    }
}
