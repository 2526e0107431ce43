//! bullion
