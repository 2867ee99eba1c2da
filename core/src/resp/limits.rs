//! How large a frame may be.

/// The limits on the size of a frame; a larger frame is refused.
///
/// A limit is tested as soon as the bytes seen exceed it, so nothing is ever read, counted or
/// kept on a peer's word alone.
///
/// ```
/// use async_caches_core::connection::{Limits, Setup};
/// use core::time::Duration;
///
/// let mut setup = Setup::new(Duration::from_secs(5), Duration::from_secs(5));
/// assert_eq!(setup.limits, Limits::default());
/// setup.limits.blob = 1 << 20; // no value is larger than this
/// assert_eq!(setup.limits.min(Limits::SMALL), Limits::SMALL);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// How many aggregates may be open at once; an empty or a null one counts too. Default: 32.
    pub depth: usize,
    /// How many frames one aggregate may hold; a map's pair is two. Default: 2^20.
    pub elements: usize,
    /// How many frames all aggregates inside one frame may hold together. Default: 2^24.
    pub total: usize,
    /// How many bytes one blob may have. Default: 512 MiB, a server's own limit.
    pub blob: usize,
    /// How many bytes a line may have between the first byte and the line break. Default: 64 KiB.
    pub line: usize,
    /// How many bytes a whole frame may have at the start of each element and at the end of each
    /// blob. Default: 2 GiB.
    pub frame: usize,
}

impl Limits {
    /// For frames that are never large: a greeting, and a reply that carries no value.
    pub const SMALL: Self = Self {
        depth: 8,
        elements: 4 << 10,
        total: 16 << 10,
        blob: 64 << 10,
        line: 64 << 10,
        frame: 256 << 10,
    };

    /// For unrequested frames: pushes, which name keys, and attributes. A flush of many keys is one
    /// push.
    pub const UNASKED: Self = Self {
        depth: 32,
        elements: 256 << 10,
        total: 256 << 10,
        blob: 1 << 20,
        line: 64 << 10,
        frame: 4 << 20,
    };

    /// The smaller of each limit.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            depth: self.depth.min(other.depth),
            elements: self.elements.min(other.elements),
            total: self.total.min(other.total),
            blob: self.blob.min(other.blob),
            line: self.line.min(other.line),
            frame: self.frame.min(other.frame),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 32,
            elements: 1 << 20,
            total: 1 << 24,
            blob: 512 << 20,
            line: 64 << 10,
            frame: 2 << 30,
        }
    }
}
