//! A proxy between a cache and its server that injects faults on the wire.
//!
//! It is transparent until a fault is switched on. Every switch works on open connections and on
//! later ones, unless its description names only some. Replies are split into frames, so that a
//! fault can be placed exactly between two of them; requests are passed on as they come. With TLS
//! only records can be told apart: each counts as a reply.

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use crate::frame;
use crate::packets::{self, Loss};

/// A running proxy. Dropping it closes every connection through it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    listener: TcpListener,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    let_through: usize,
    vanished: bool,
    redirected: Option<SocketAddr>,
    refusing: bool,
    ended: bool,
    drip: Option<usize>,
    before_each: Vec<u8>,
    once: Vec<u8>,
    cut: Option<Cut>,
    /// The index of a byte of the next reply, and the bits of it to flip.
    corrupt: Option<(usize, u8)>,
    /// Requests are held back on connections up to this one, in order of acceptance.
    late: usize,
    connections: Vec<(TcpStream, TcpStream)>,
    accepted: usize,
    replies: usize,
}

/// After how many more bytes of replies a connection ends, and how.
#[derive(Clone, Copy, Debug)]
struct Cut {
    after: usize,
    by: Ending,
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// In good order: earlier bytes arrive, and then the end (FIN).
    Closed,
    /// Torn down (RST).
    Reset,
}

impl Proxy {
    /// Starts a proxy to a server.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::<Shared>::default();
        let accepting = listener.try_clone().expect("there are descriptors");
        let proxy = Self { address, listener, shared: shared.clone() };
        thread::spawn(move || accept(&accepting, server, &shared));
        proxy
    }

    /// The address that clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds replies back until [`release`](Self::release); requests still get through.
    pub fn hold(&self) {
        self.set(|state| state.held = true);
    }

    /// Lets this many replies through although replies are held back.
    pub fn let_through(&self, replies: usize) {
        self.set(|state| state.let_through += replies);
    }

    /// Lets held replies through, and later ones.
    pub fn release(&self) {
        self.set(|state| (state.held, state.let_through) = (false, 0));
    }

    /// Forwards nothing in either direction from now on and closes nothing: the peer has vanished.
    pub fn vanish(&self) {
        self.set(|state| state.vanished = true);
    }

    /// Loses every packet on the open connections, in both directions, and closes nothing.
    pub fn lose_packets(&self) -> Loss {
        let connections = |state: &mut State| {
            let sockets = state.connections.iter().flat_map(|(client, server)| [client, server]);
            let losses: Vec<_> = sockets.map(packets::lose).collect();
            let silent = losses.contains(&Loss::InSilence);
            state.vanished |= silent;
            if silent { Loss::InSilence } else { Loss::InTheKernel }
        };
        self.set(connections)
    }

    /// Loses every packet that asks for a new connection (SYN): a dial is neither answered nor
    /// refused.
    pub fn lose_dials(&self) -> Loss {
        let loss = packets::lose(&self.listener);
        self.set(|state| state.vanished |= loss == Loss::InSilence);
        loss
    }

    /// Closes later connections as soon as they are accepted.
    pub fn refuse(&self) {
        self.set(|state| state.refusing = true);
    }

    /// Ends every fault; everything that was held or lost comes through at last.
    pub fn heal(&self) {
        packets::find(&self.listener);
        self.set(|state| {
            for (client, server) in &state.connections {
                packets::find(client);
                packets::find(server);
            }
            (state.held, state.vanished, state.refusing) = (false, false, false);
            (state.let_through, state.late) = (0, 0);
            (state.drip, state.cut, state.corrupt) = (None, None, None);
            (state.before_each, state.once) = (Vec::new(), Vec::new());
        });
    }

    /// Passes replies on in pieces of this many bytes, each in a packet of its own.
    pub fn drip(&self, piece: usize) {
        self.set(|state| state.drip = Some(piece));
    }

    /// Puts these bytes before every reply.
    pub fn inject_before_each(&self, bytes: &[u8]) {
        self.set(|state| state.before_each = bytes.to_vec());
    }

    /// Puts these bytes before the next reply, in one packet with it.
    pub fn inject_once(&self, bytes: &[u8]) {
        self.set(|state| state.once = bytes.to_vec());
    }

    /// Holds back requests on the open connections until [`heal`](Self::heal), even if their client
    /// is gone by then.
    pub fn delay_requests(&self) {
        self.set(|state| state.late = state.accepted);
    }

    /// Closes every open connection on the client's side only.
    pub fn hang_up(&self) {
        self.set(|state| {
            for (client, _) in &state.connections {
                let _ = client.shutdown(Shutdown::Both);
            }
        });
    }

    /// Connects later connections to another server, and leaves the open ones alone.
    pub fn redirect(&self, to: SocketAddr) {
        self.set(|state| state.redirected = Some(to));
    }

    /// Closes every open connection on both sides at once.
    pub fn sever(&self) {
        self.set(|state| sever(&mut state.connections));
    }

    /// Ends a connection after this many more bytes of replies, in the middle of a reply if need
    /// be.
    pub fn cut_after(&self, after: usize, by: Ending) {
        self.set(|state| state.cut = Some(Cut { after, by }));
    }

    /// Flips these bits of one byte of the next reply.
    pub fn corrupt(&self, at: usize, bits: u8) {
        self.set(|state| state.corrupt = Some((at, bits)));
    }

    /// How many connections were accepted, or refused, so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.shared.lock().accepted
    }

    /// How many whole replies the server has sent so far, passed on or not.
    #[must_use]
    pub fn replies(&self) -> usize {
        self.shared.lock().replies
    }

    fn set<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = change(&mut self.shared.lock());
        self.shared.changed.notify_all();
        outcome
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        packets::find(&self.listener);
        self.set(|state| {
            state.ended = true;
            sever(&mut state.connections);
        });
        // Wakes the accepting thread, which sees that the proxy has ended.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the proxy panics")
    }

    fn wait_while(&self, waits: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let wait = |state: &mut State| !state.ended && waits(state);
        self.changed.wait_while(self.lock(), wait).expect("no thread of the proxy panics")
    }
}

fn accept(listener: &TcpListener, server: SocketAddr, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let mut state = shared.lock();
        if state.ended {
            return;
        }
        state.accepted += 1;
        if !state.refusing
            && let Ok(client) = client
            && let Ok(server) = TcpStream::connect(state.redirected.unwrap_or(server))
        {
            let _ = open(&client, server, &mut state, shared);
        }
    }
}

fn open(
    client: &TcpStream,
    server: TcpStream,
    state: &mut State,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    state.connections.push((client.try_clone()?, server.try_clone()?));
    let (from, to, switches) = (client.try_clone()?, server.try_clone()?, shared.clone());
    let number = state.accepted;
    thread::spawn(move || end(pass_requests(number, &from, &to, &switches), &from, &to));
    let (sender, receiver) = mpsc::channel();
    let (from, to, switches) = (server.try_clone()?, client.try_clone()?, shared.clone());
    thread::spawn(move || end(pass_replies(&receiver, &to, &switches), &from, &to));
    let switches = shared.clone();
    thread::spawn(move || {
        // The thread that passes replies on ends the connection once it has sent the rest.
        let _ = take_replies(&server, &sender, &switches);
    });
    Ok(())
}

fn pass_requests(
    number: usize,
    mut from: &TcpStream,
    mut to: &TcpStream,
    shared: &Shared,
) -> io::Result<()> {
    let mut piece = [0; 64 * 1024];
    loop {
        let length = from.read(&mut piece)?;
        drop(shared.wait_while(|state| state.vanished || number <= state.late));
        if length == 0 {
            return Ok(());
        }
        to.write_all(&piece[..length])?;
    }
}

/// Reads on while replies are held back, so that they can be counted.
fn take_replies(
    mut from: &TcpStream,
    replies: &Sender<Vec<u8>>,
    shared: &Shared,
) -> io::Result<()> {
    let mut unread = Vec::new();
    let mut piece = [0; 64 * 1024];
    loop {
        let length = from.read(&mut piece)?;
        if length == 0 {
            drop(shared.wait_while(|state| state.vanished));
            return Ok(());
        }
        unread.extend_from_slice(&piece[..length]);
        let mut used = 0;
        while let Some(length) = whole(&unread[used..]) {
            shared.lock().replies += 1;
            let Ok(()) = replies.send(unread[used..used + length].to_vec()) else { return Ok(()) };
            used += length;
        }
        unread.drain(..used);
    }
}

/// Returns the length of the first reply, or of the first TLS record (RFC 8446, 5.1), once it is
/// whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [20..=23] => None,
        [20..=23, 3, rest @ ..] => {
            let [_, high, low, ..] = rest else { return None };
            let length = 5 + usize::from(u16::from_be_bytes([*high, *low]));
            (length <= bytes.len()).then_some(length)
        }
        _ => frame::length(bytes),
    }
}

fn pass_replies(
    replies: &Receiver<Vec<u8>>,
    mut to: &TcpStream,
    shared: &Shared,
) -> io::Result<()> {
    for reply in replies {
        let mut state =
            shared.wait_while(|state| state.vanished || (state.held && state.let_through == 0));
        state.let_through = state.let_through.saturating_sub(1);
        let once = std::mem::take(&mut state.once);
        let mut out = [&once, &state.before_each, &reply[..]].concat();
        if let Some((at, bits)) = state.corrupt.take()
            && let Some(byte) = out.get_mut(at)
        {
            *byte ^= bits;
        }
        let cut = state.cut.take_if(|cut| cut.after <= out.len());
        if let Some(cut) = cut {
            out.truncate(cut.after);
        } else if let Some(cut) = &mut state.cut {
            cut.after -= out.len();
        }
        let size = state.drip.unwrap_or(usize::MAX);
        drop(state);
        for packet in out.chunks(size) {
            to.write_all(packet)?;
        }
        match cut.map(|cut| cut.by) {
            None => {}
            Some(Ending::Closed) => return Ok(()),
            Some(Ending::Reset) => {
                packets::reset(&to);
                return Ok(());
            }
        }
    }
    Ok(())
}

fn end(_: io::Result<()>, one: &TcpStream, other: &TcpStream) {
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}

fn sever(connections: &mut Vec<(TcpStream, TcpStream)>) {
    for (client, server) in connections.drain(..) {
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }
}
