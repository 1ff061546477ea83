//! What is shared in the network: a survey of its infohashes (BEP 51), their names and files, and search.
#![forbid(unsafe_code)]
