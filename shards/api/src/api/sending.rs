//! How answers leave: in few parts, and in sends that are not too large.

use bytes::{Bytes, BytesMut};
use heddle_border::{ConnId, Effect, Token};

use crate::ask::Wish;

use super::Api;

/// What a fetch may read however much is unsent. Bytes.
const FETCH_BYTES_LEAST: usize = 64 * 1024;
/// What one send carries at most. Bytes.
const SEND_BYTES_MAX: usize = 1024 * 1024;
/// Parts up to this size are copied together: each part of a send costs more than that. Bytes.
const JOIN_BYTES_MAX: usize = 1024;

impl Api {
    /// Long answers leave in several sends, each of which tells that the peer takes something.
    pub(super) fn send(&mut self, conn: ConnId, wish: &mut Wish) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.dirty = false;
        if !connection.outbox.is_empty() && !connection.closed {
            for parts in cut(joined(std::mem::take(&mut connection.outbox))) {
                let bytes = parts.iter().map(Bytes::len).sum::<usize>();
                self.stats.bytes_out += bytes as u64;
                self.next_send = self.next_send.wrapping_add(1);
                self.sends.insert(self.next_send, (conn, bytes));
                let token = Token { owner: self.owner, seq: self.next_send };
                wish.effects.push(Effect::Send { conn, token, parts });
            }
        }
        if connection.closing && !connection.closed {
            connection.closed = true;
            wish.effects.push(Effect::Close { conn });
        }
    }

    /// What a fetch may read now: a part of what is left, so that no reader takes it all, and yet something.
    pub(super) fn room(&self) -> usize {
        let left = self.shared.config.unsent_bytes_max.saturating_sub(self.unsent_bytes);
        (left / 4).max(FETCH_BYTES_LEAST)
    }
}

/// The same bytes in sends that are not too large.
fn cut(parts: Vec<Bytes>) -> Vec<Vec<Bytes>> {
    let (mut sends, mut room) = (vec![Vec::new()], SEND_BYTES_MAX);
    for mut part in parts {
        while !part.is_empty() {
            if room == 0 {
                sends.push(Vec::new());
                room = SEND_BYTES_MAX;
            }
            let piece = part.split_to(part.len().min(room));
            room -= piece.len();
            sends.last_mut().expect("there is always one").push(piece);
        }
    }
    sends
}

/// The same bytes in fewer parts: answers of a pipeline are small and many.
fn joined(parts: Vec<Bytes>) -> Vec<Bytes> {
    if parts.windows(2).all(|pair| pair[0].len() > JOIN_BYTES_MAX || pair[1].len() > JOIN_BYTES_MAX) {
        return parts;
    }
    let mut out = Vec::with_capacity(parts.len());
    let mut small = BytesMut::new();
    for part in parts {
        if part.len() <= JOIN_BYTES_MAX {
            small.extend_from_slice(&part);
            continue;
        }
        if !small.is_empty() {
            out.push(small.split().freeze());
        }
        out.push(part);
    }
    if !small.is_empty() {
        out.push(small.freeze());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_answers_leave_in_several_sends() {
        let parts = [3, SEND_BYTES_MAX - 3, 5, 2 * SEND_BYTES_MAX].map(|bytes| Bytes::from(vec![7; bytes])).to_vec();
        let sends: Vec<usize> = cut(parts.clone()).iter().map(|parts| parts.iter().map(Bytes::len).sum()).collect();
        assert_eq!(sends, [SEND_BYTES_MAX, SEND_BYTES_MAX, SEND_BYTES_MAX, 5]);
        assert_eq!(cut(parts.clone()).concat().concat(), parts.concat());
    }

    #[test]
    fn small_parts_are_joined_and_large_ones_left_as_they_are() {
        let sizes = |sizes: &[usize]| {
            let parts: Vec<Bytes> = sizes.iter().enumerate().map(|(at, len)| vec![at as u8; *len].into()).collect();
            let out = joined(parts.clone());
            assert_eq!(out.concat(), parts.concat());
            out.iter().map(Bytes::len).collect::<Vec<_>>()
        };
        let large = JOIN_BYTES_MAX + 1;
        assert_eq!(sizes(&[4, JOIN_BYTES_MAX, large, 3, 2]), [4 + JOIN_BYTES_MAX, large, 5]);
        assert_eq!(sizes(&[4, large, 3, large]), [4, large, 3, large]);
        assert_eq!(sizes(&[large, 1, 1]), [large, 2]);
    }
}
