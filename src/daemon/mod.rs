//! The long-running service: its configuration, and the program that it is.
#![forbid(unsafe_code)]

pub mod announcing;
pub mod config;
pub mod control;
pub mod dashboard;
pub mod doctor;
mod following;
pub mod gateway;
mod index;
pub mod live;
mod manager;
mod mapping;
pub mod metrics;
pub mod service;
pub mod signals;
pub mod view;
