//! A conversation over UDP.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::pipes::{Heard, Input, LINE_MAX, Output, Said};
use super::{END_WAIT, Failure, is_enough};
use crate::connection::Transfer;
use crate::reactor::{
    DialOptions, Event, Handler, Interest, Next, Registry, SourceAddr, Token, UdpSocket,
    dial_datagrams, fixed_token, watch_again,
};
use crate::service::datagram_max;

/// The room for a reply: more than the longest datagram.
const ROOM: usize = 64 * 1024;

/// How a [`DatagramClient`] asks.
#[derive(Clone, Debug)]
pub struct DatagramOptions {
    /// The server's addresses, at least one, in the order in which they are tried. Until one replies, a
    /// datagram that is refused or gets no reply is sent again to the next address. After the last
    /// address, the next datagram starts with the first again. Datagrams from others are not shown.
    pub addresses: Vec<SocketAddr>,
    /// The address to send from; `None`: the system chooses it.
    pub source: Option<SourceAddr>,
    /// How long a reply of one address is awaited. Datagrams get lost.
    pub wait: Duration,
    /// How many datagrams may await a reply at one time; at least 1. Before the first reply of a server
    /// with several addresses it is 1.
    pub in_flight_max: usize,
}

/// A line has more bytes than a datagram can have, and nothing of it was sent.
#[derive(Clone, Copy, Debug)]
pub struct TooLong {
    size: usize,
    limit: usize,
}

impl TooLong {
    /// The number of bytes of the line, as a text: it is not known exactly if there are more than 1 MiB.
    pub fn size(self) -> String {
        match self.size {
            size if size > LINE_MAX => format!(">{LINE_MAX}"),
            size => size.to_string(),
        }
    }

    /// The longest datagram that its address takes, in bytes.
    pub const fn limit(self) -> usize {
        self.limit
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, .. } = self;
        write!(f, "{} bytes, and at most {limit} can be sent", self.size())
    }
}

impl Error for TooLong {}

impl From<TooLong> for io::Error {
    fn from(error: TooLong) -> Self {
        Self::new(ErrorKind::InvalidInput, error)
    }
}

/// Sends each piece of the input as a datagram, and awaits the replies.
///
/// A piece that is longer than a datagram can be is refused whole.
///
/// A reply is taken for that of the oldest datagram that awaits one, also if it comes too late: nothing in
/// it names its datagram.
#[derive(Debug)]
pub struct DatagramClient {
    options: DatagramOptions,
    untried: VecDeque<SocketAddr>,
    /// The addresses that were tried, at least one. Once one of them has replied, it is the only one.
    peers: Vec<Peer>,
    /// The one that datagrams are sent to.
    current: usize,
    /// The address that was reported last.
    reported: Option<SocketAddr>,
    /// A reply has come.
    answered: bool,
    /// The datagram sent last, as long as it may have to be sent to another address.
    asked: Option<Vec<u8>>,
    /// It has to be.
    ask_again: bool,
    /// The datagrams that await a reply, oldest first: their numbers, and when their waits end.
    awaited: VecDeque<(u64, Instant)>,
    /// The input has ended.
    said_all: bool,
    input: Input,
    output: Output,
    room: Box<[u8]>,
    sent: u64,
    lost: u64,
    failure: Option<Failure>,
    over: bool,
}

/// One address of the server, and the socket that is connected to it.
#[derive(Debug)]
struct Peer {
    socket: UdpSocket,
    address: SocketAddr,
    token: Token,
    readable: bool,
    registered: bool,
    /// An error of the socket may have made the poll forget it.
    forgotten: bool,
}

impl DatagramClient {
    /// A conversation of `input` with a server, shown by `output`.
    ///
    /// # Errors
    ///
    /// Those of binding and connecting the socket, for the last address; `InvalidInput` if there is none.
    pub fn new(options: DatagramOptions, input: Input, output: Output) -> io::Result<Self> {
        let mut untried = options.addresses.iter().copied().collect();
        let first = Peer::open_next(&mut untried, options.source, fixed_token(0))?;
        Ok(Self {
            options,
            untried,
            peers: vec![first],
            current: 0,
            reported: None,
            answered: false,
            asked: None,
            ask_again: false,
            awaited: VecDeque::new(),
            said_all: false,
            input,
            output,
            room: vec![0; ROOM].into_boxed_slice(),
            sent: 0,
            lost: 0,
            failure: None,
            over: false,
        })
    }

    /// How many datagrams were sent, and how many of them got no answer. If the loop was left early, waits a
    /// moment for what came to be shown.
    ///
    /// # Errors
    ///
    /// Why the conversation failed, if it did. A reader of the output that has had enough is no failure.
    pub fn finish(self) -> Result<(u64, u64), Failure> {
        let shown = self.output.finish_within(END_WAIT);
        match (self.failure, shown) {
            (Some(failure), _) => Err(failure),
            (None, Err(error)) if !is_enough(&error) => Err(Failure::Output(error)),
            _ => Ok((self.sent, self.lost)),
        }
    }

    /// Waits until everything that was heard has been shown.
    fn wind_up(&mut self) -> Next {
        self.output.close();
        if self.output.is_closed() {
            Next::Stop
        } else {
            Next::Wait(None)
        }
    }

    /// Whether there is no other address to send the current datagram to.
    fn is_last_address(&self) -> bool {
        self.answered || (self.untried.is_empty() && self.current + 1 == self.peers.len())
    }

    /// Switches to the next address, if no address has replied and there is another. The datagram sent
    /// last is sent again.
    fn move_on(&mut self) -> bool {
        if self.asked.is_none() || self.is_last_address() {
            return false;
        }
        if self.current + 1 == self.peers.len() {
            let token = fixed_token(self.peers.len() as u32);
            match Peer::open_next(&mut self.untried, self.options.source, token) {
                Ok(peer) => self.peers.push(peer),
                Err(_) => return false,
            }
        }
        self.current += 1;
        self.ask_again = true;
        true
    }

    /// How many datagrams may await a reply now.
    fn in_flight_max(&self) -> usize {
        let is_one_address = self.options.addresses.len() == 1;
        if self.answered || is_one_address {
            self.options.in_flight_max
        } else {
            1
        }
    }

    /// The oldest datagram that awaits a reply gets none, for this reason, or within the time limit.
    fn lose_oldest(&mut self, why: Option<io::Error>) {
        if let Some((number, _)) = self.awaited.pop_front() {
            self.lose(number, why);
        }
    }

    /// Datagram `number` got no reply.
    fn lose(&mut self, number: u64, why: Option<io::Error>) {
        if self.move_on() {
            return;
        }
        self.lost += 1;
        self.output.push(Heard::NoAnswer(number, why));
    }

    /// Shows what has come, as far as there is room.
    fn receive(&mut self) {
        for index in 0..self.peers.len() {
            while let Some(peer) = self.peers.get_mut(index)
                && peer.readable
                && self.output.has_room()
            {
                match Transfer::of_datagram(peer.socket.recv(&mut self.room)) {
                    Transfer::Moved(size) => {
                        self.awaited.pop_front();
                        self.output.push(Heard::Bytes(self.room[..size].to_vec()));
                        if !self.answered {
                            self.keep(index);
                            return self.receive();
                        }
                    }
                    Transfer::WouldBlock => peer.readable = false,
                    Transfer::Interrupted | Transfer::Eof => {}
                    Transfer::Failed(error) => {
                        (peer.readable, peer.forgotten) = (false, true);
                        if index == self.current {
                            self.lose_oldest(Some(error));
                        }
                    }
                }
            }
        }
    }

    /// Peer `index` is the first to reply: it is kept, even if another one was tried since. The others
    /// are closed.
    fn keep(&mut self, index: usize) {
        self.answered = true;
        self.peers.swap(0, index);
        self.peers.truncate(1);
        self.current = 0;
        (self.asked, self.ask_again) = (None, false);
    }

    /// Has the sockets among the sources of the loop.
    fn watch(&mut self, registry: &Registry) -> io::Result<()> {
        let address = self.peers[self.current].address;
        if self.reported.replace(address) != Some(address) {
            self.output.push(Heard::Connected(address));
        }
        let mut peers = self.peers.iter_mut();
        peers.try_for_each(|peer| peer.watch(registry))
    }

    /// Sends the next datagrams, up to the limit in flight. Returns whether the conversation is over.
    fn send(&mut self, now: Instant) -> bool {
        while self.awaited.len() < self.in_flight_max() && self.output.has_room() {
            if !self.peers[self.current].registered {
                return false;
            }
            let again = std::mem::take(&mut self.ask_again);
            let piece = match self.asked.take().filter(|_| again) {
                Some(piece) => piece,
                None if self.said_all => return self.awaited.is_empty(),
                None => match self.input.next() {
                    Said::Piece(piece) => {
                        self.sent += 1;
                        // The first datagram may have been lost on its way to the first address.
                        if !self.answered && self.is_last_address() {
                            self.current = 0;
                        }
                        piece
                    }
                    Said::Nothing => return false,
                    Said::Ended => {
                        self.said_all = true;
                        return self.awaited.is_empty();
                    }
                    Said::Failed(error) => {
                        self.failure = Some(Failure::Input(error));
                        return true;
                    }
                },
            };
            let limit = datagram_max(self.peers[self.current].address.ip());
            if piece.len() > limit {
                let size = piece.len();
                self.lose(self.sent, Some(TooLong { size, limit }.into()));
                continue;
            }
            // A pending ICMP error of an earlier datagram is reported, once, instead of sending this one (udp(7)).
            let sent = self.peers[self.current].socket.send(&piece);
            let sent = sent.or_else(|error| {
                self.lose_oldest(Some(error));
                self.peers[self.current].socket.send(&piece)
            });
            self.asked = (!self.is_last_address()).then_some(piece);
            match sent {
                Ok(_) => self.awaited.push_back((self.sent, now + self.options.wait)),
                // This one can't be sent.
                Err(error) => self.lose(self.sent, Some(error)),
            }
        }
        false
    }
}

impl Handler for DatagramClient {
    fn ready(&mut self, event: &Event) {
        let mut peers = self.peers.iter_mut();
        if let Some(peer) = peers.find(|peer| peer.token == event.token()) {
            peer.readable = true;
        }
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        if let Err(error) = self.watch(registry) {
            self.failure = Some(Failure::Lost(error));
            self.over = true;
        }
        if self.over {
            return self.wind_up();
        }
        self.receive();
        // Without room to say that it is lost, there is nothing to be late for: room wakes the loop.
        while self.output.has_room() && self.awaited.front().is_some_and(|&(_, until)| until <= now)
        {
            self.lose_oldest(None);
        }
        if self.output.is_closed() || self.send(now) {
            self.over = true;
            return self.wind_up();
        }
        let mut peers = self.peers.iter();
        let wake = if peers.all(|peer| peer.registered && !peer.forgotten) {
            let until = self.awaited.front().map(|&(_, until)| until);
            until.filter(|_| self.output.has_room())
        } else {
            Some(now)
        };
        Next::until(wake, now)
    }
}

impl Peer {
    /// A socket that is connected to the first of `untried` that the system has a route to.
    fn open_next(
        untried: &mut VecDeque<SocketAddr>,
        source: Option<SourceAddr>,
        token: Token,
    ) -> io::Result<Self> {
        let mut outcome = Err(ErrorKind::InvalidInput.into());
        while let Some(address) = untried.pop_front() {
            let socket = dial_datagrams(address, source, &DialOptions::default());
            outcome = socket.map(|socket| Self {
                socket,
                address,
                token,
                readable: false,
                registered: false,
                forgotten: false,
            });
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// Has the socket among the sources of the loop.
    fn watch(&mut self, registry: &Registry) -> io::Result<()> {
        if !std::mem::replace(&mut self.registered, true) {
            registry.register(&mut self.socket, self.token, Interest::READABLE)
        } else if std::mem::take(&mut self.forgotten) {
            watch_again(registry, &mut self.socket, self.token, Interest::READABLE)
        } else {
            Ok(())
        }
    }
}
