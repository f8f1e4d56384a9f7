//! Recordings of what the real tc sends.
