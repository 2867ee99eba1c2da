//! How busy a connection is, as a number, and how busy it may become.

/// How much work callers may leave to a connection, and how many of them may wait.
#[derive(Clone, Copy, Debug)]
pub(in crate::redis) struct PoolBounds {
    /// Commands without a reply on one connection.
    pub(in crate::redis) in_flight: usize,
    /// Bytes of one connection that its socket has not taken. The command that exceeds it is the
    /// last.
    pub(in crate::redis) queued_bytes: usize,
    /// Callers of all connections that wait for one, or for room.
    pub(in crate::redis) waiting: usize,
}

impl PoolBounds {
    /// The load from which on a connection is busy: more are opened then, if allowed.
    #[inline]
    pub(in crate::redis) fn busy(self) -> usize {
        let bytes = self.queued_bytes / BYTES_OF_A_COMMAND;
        BUSY.min(self.in_flight).min(bytes.max(1))
    }
}

/// A connection with this load is busy, unless its bounds are lower.
pub(in crate::redis) const BUSY: usize = 2048;

/// This many bytes to write, or known to come, keep a connection as busy as one command.
pub(in crate::redis) const BYTES_OF_A_COMMAND: usize = 512;

/// Makes a stalled connection the last choice.
pub(in crate::redis) const STALLED: usize = 1 << 48;

/// The load of a connection that takes no more commands.
pub(in crate::redis) const CLOSED: usize = usize::MAX;
