//! The systems that the lab compares, one file each. Every file opens with the rules that its system obeys and where
//! they come from.

pub mod bep5;
pub mod can;
pub mod chord;
pub mod pastry;
pub mod ring;
pub mod tapestry;
pub mod viceroy;
