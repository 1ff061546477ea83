//! The built program, from outside: what is typed, what it prints, how it ends.
//!
//! Every test has folders and variables of its own; networks are on loopback, with ports that the system chose.

mod config;
mod conform;
mod control;
mod daemon;
mod demo;
mod doctor;
mod faults;
mod gateway;
mod harness;
mod host;
mod index;
mod items;
mod lab;
mod life;
mod manager;
mod manual;
mod mapping;
mod names;
mod network;
mod outputs;
mod places;
mod postgres;
#[expect(dead_code, reason = "the tests of the store let it stand still")]
mod postgres_server;
mod power;
mod running;
mod shell;
mod targets;
mod unit;
mod watch;
