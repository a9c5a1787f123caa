//! TCP connections, and the table of all sockets of a load.

pub(crate) mod close;
pub(crate) mod connect_state;
pub(crate) mod connection;
pub(crate) mod finish;
pub(crate) mod greeting;
pub(crate) mod open;
pub(crate) mod opener;
pub(crate) mod pending;
pub(crate) mod slots;
pub(crate) mod sources;
pub(crate) mod table;
pub(crate) mod timers;
pub(crate) mod untried_addresses;
