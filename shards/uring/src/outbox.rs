//! What one connection has still to send: in order, one operation in flight, as much in it as is reasonable.

use std::collections::VecDeque;

use bytes::Bytes;
use heddle_border::Token;
use io_uring::{opcode, squeue, types};
use nix::libc;

/// Parts the kernel takes in one operation (IOV_MAX).
const PARTS_MAX: usize = 1024;
/// Sends are joined in one operation up to this size, so that `Sent` is not late. Bytes.
const JOIN_BYTES: usize = 256 * 1024;

struct Piece {
    token: Token,
    bytes: usize,
    parts: Vec<Bytes>,
}

/// The operation in flight. Boxed: the kernel holds its address.
struct Flight {
    /// Bytes that each send has still in this flight.
    left: VecDeque<(Token, usize)>,
    /// What `vectors` points into.
    parts: Vec<Bytes>,
    vectors: Vec<libc::iovec>,
    /// The first vector that is not sent.
    next: usize,
    header: libc::msghdr,
    busy: bool,
}

pub(crate) struct Outbox {
    waiting: VecDeque<Piece>,
    flight: Box<Flight>,
}

impl Outbox {
    pub(crate) fn new() -> Outbox {
        // SAFETY: msghdr is plain data, for which zero means "nothing".
        let header: libc::msghdr = unsafe { std::mem::zeroed() };
        let flight =
            Flight { left: VecDeque::new(), parts: Vec::new(), vectors: Vec::new(), next: 0, header, busy: false };
        Outbox { waiting: VecDeque::new(), flight: Box::new(flight) }
    }

    pub(crate) fn push(&mut self, token: Token, parts: Vec<Bytes>) {
        let bytes = parts.iter().map(Bytes::len).sum();
        self.waiting.push_back(Piece { token, bytes, parts });
    }

    /// The kernel holds memory of this outbox.
    pub(crate) fn is_busy(&self) -> bool {
        self.flight.busy
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.flight.left.is_empty()
    }

    /// The next operation, unless one is in flight or nothing waits. Empty sends are handed to `sent` on the way.
    /// The outbox is busy until `on_sent` or `on_failed`.
    pub(crate) fn next(&mut self, fd: types::Fd, mut sent: impl FnMut(Token)) -> Option<squeue::Entry> {
        if self.flight.busy {
            return None;
        }
        if self.flight.left.is_empty() {
            self.load();
            self.flight.advance(0, &mut sent);
        }
        if self.flight.left.is_empty() {
            return None;
        }
        self.flight.busy = true;
        Some(self.flight.entry(fd))
    }

    /// The operation sent `bytes`.
    pub(crate) fn on_sent(&mut self, bytes: usize, mut sent: impl FnMut(Token)) {
        self.flight.busy = false;
        self.flight.advance(bytes, &mut sent);
    }

    /// The operation ended without sending.
    pub(crate) fn on_failed(&mut self) {
        self.flight.busy = false;
    }

    /// Give up everything that is not in flight.
    ///
    /// # Panics
    /// If an operation is in flight.
    pub(crate) fn drop_all(&mut self, mut sent: impl FnMut(Token)) {
        assert!(!self.flight.busy, "the kernel still reads this memory");
        self.flight.left.drain(..).for_each(|(token, _)| sent(token));
        self.flight.clear();
        self.waiting.drain(..).for_each(|piece| sent(piece.token));
    }

    fn load(&mut self) {
        let flight = &mut *self.flight;
        flight.clear();
        let mut bytes = 0;
        while let Some(piece) = self.waiting.front() {
            let fits = bytes + piece.bytes <= JOIN_BYTES && flight.vectors.len() + piece.parts.len() <= PARTS_MAX;
            if !flight.left.is_empty() && !fits {
                break;
            }
            let Some(piece) = self.waiting.pop_front() else { break };
            bytes += piece.bytes;
            flight.left.push_back((piece.token, piece.bytes));
            for part in piece.parts.into_iter().filter(|part| !part.is_empty()) {
                flight.vectors.push(libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
                flight.parts.push(part);
            }
        }
    }
}

impl Flight {
    fn entry(&mut self, fd: types::Fd) -> squeue::Entry {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let vectors = &mut self.vectors[self.next..];
        if let ([one], Ok(len)) = (&*vectors, u32::try_from(vectors[0].iov_len)) {
            return opcode::Send::new(fd, one.iov_base.cast(), len).flags(flags).build();
        }
        self.header.msg_iov = vectors.as_mut_ptr();
        self.header.msg_iovlen = vectors.len().min(PARTS_MAX);
        opcode::SendMsg::new(fd, &raw const self.header).flags(flags as u32).build()
    }

    fn advance(&mut self, mut bytes: usize, sent: &mut impl FnMut(Token)) {
        let mut vectors = bytes;
        while vectors > 0 {
            let vector = &mut self.vectors[self.next];
            let step = vectors.min(vector.iov_len);
            vector.iov_base = vector.iov_base.wrapping_byte_add(step);
            vector.iov_len -= step;
            vectors -= step;
            if vector.iov_len == 0 {
                self.next += 1;
            }
        }
        while let Some((token, left)) = self.left.front_mut() {
            if *left > bytes {
                *left -= bytes;
                return;
            }
            bytes -= *left;
            sent(*token);
            self.left.pop_front();
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.left.clear();
        self.vectors.clear();
        self.parts.clear();
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FD: types::Fd = types::Fd(-1);

    fn token(seq: u32) -> Token {
        Token { owner: 1, seq }
    }

    fn in_flight(outbox: &Outbox) -> usize {
        outbox.flight.vectors[outbox.flight.next..].iter().map(|v| v.iov_len).sum()
    }

    #[test]
    fn joins_small_sends_and_not_large_ones() {
        let mut outbox = Outbox::new();
        for seq in 0..3 {
            outbox.push(token(seq), vec![Bytes::from_static(b"abcd")]);
        }
        outbox.push(token(3), vec![Bytes::from(vec![0; JOIN_BYTES])]);
        assert!(outbox.next(FD, |_| panic!("nothing is sent yet")).is_some());
        assert_eq!(in_flight(&outbox), 12);
        assert!(outbox.next(FD, |_| panic!()).is_none(), "one at a time");
        let mut sent = Vec::new();
        outbox.on_sent(12, |t| sent.push(t.seq));
        assert_eq!(sent, [0, 1, 2]);
        assert!(outbox.next(FD, |_| panic!()).is_some());
        assert_eq!(in_flight(&outbox), JOIN_BYTES);
    }

    #[test]
    fn empty_sends_are_sent() {
        let mut outbox = Outbox::new();
        outbox.push(token(0), vec![]);
        outbox.push(token(1), vec![Bytes::new()]);
        let mut sent = Vec::new();
        assert!(outbox.next(FD, |t| sent.push(t.seq)).is_none());
        assert_eq!(sent, [0, 1]);
        assert!(outbox.is_empty());
    }

    proptest! {
        /// However the kernel cuts the sends, each byte goes once and each token is answered once, in order.
        #[test]
        fn short_sends_continue(
            sends in prop::collection::vec(prop::collection::vec(0usize..50, 0..5), 1..20),
            cuts in prop::collection::vec(1usize..120, 1..50),
        ) {
            let mut outbox = Outbox::new();
            let mut expected = Vec::new();
            for (seq, parts) in sends.iter().enumerate() {
                let parts = parts.iter().map(|len| {
                    let part: Vec<u8> = (0..*len).map(|i| (seq * 7 + i) as u8).collect();
                    expected.extend_from_slice(&part);
                    Bytes::from(part)
                });
                outbox.push(token(seq as u32), parts.collect());
            }
            let (mut sent, mut wire, mut cuts) = (Vec::new(), Vec::new(), cuts.into_iter().cycle());
            while outbox.next(FD, |t| sent.push(t.seq)).is_some() {
                let mut room = cuts.next().unwrap().min(in_flight(&outbox));
                let took = room;
                for vector in &outbox.flight.vectors[outbox.flight.next..] {
                    let step = room.min(vector.iov_len);
                    // SAFETY: the vector points into a part that the flight keeps.
                    wire.extend_from_slice(unsafe { std::slice::from_raw_parts(vector.iov_base.cast::<u8>(), step) });
                    room -= step;
                }
                outbox.on_sent(took, |t| sent.push(t.seq));
            }
            prop_assert!(outbox.is_empty());
            prop_assert_eq!(wire, expected);
            prop_assert!(sent.into_iter().eq(0..sends.len() as u32));
        }
    }
}
