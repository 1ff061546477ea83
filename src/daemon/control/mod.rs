//! The control interface: HTTP with JSON, by which people and programs see and steer the running node.
