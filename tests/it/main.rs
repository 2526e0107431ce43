//! One binary for every test on real parts.

mod engine;
mod engine_http;
mod engine_life;
mod gold;
mod project;
