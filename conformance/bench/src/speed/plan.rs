//! The order of turns. Each cell has several rounds, and each round includes all clients. Every
//! round begins with another client, so that drift and other load on the machine affect all alike.

use std::time::Duration;

use crate::cell::Cell;
use crate::clients::{Name, Who};

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) cells: Vec<Cell>,
    pub(crate) clients: Vec<Name>,
    pub(crate) rounds: usize,
    pub(crate) span: Duration,
    /// Whether the servers speak TLS.
    pub(crate) tls: bool,
}

impl Plan {
    /// The clients that support a cell's operation.
    pub(crate) fn clients_of(&self, cell: Cell) -> Vec<&Name> {
        let can = |who: Who| who.can(cell.op) && (who.can_speak_tls() || !self.tls);
        self.clients.iter().filter(|client| can(client.who)).collect()
    }

    /// The order of the turns, as indices in [`clients_of`](Self::clients_of).
    pub(crate) fn turns_of(&self, cell: Cell) -> Vec<usize> {
        let clients = self.clients_of(cell).len();
        let turn = |round: usize| (0..clients).map(move |turn| (round + turn) % clients);
        (0..self.rounds).flat_map(turn).collect()
    }

    /// The total number of turns.
    pub(crate) fn turns(&self) -> usize {
        self.cells.iter().map(|&cell| self.turns_of(cell).len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_all_clients_and_begins_with_the_next() {
        let clients = ["raw", "ours", "ours-smol"].map(|name| name.parse().unwrap()).to_vec();
        let cells: Vec<Cell> =
            vec!["ct/get/64/1".parse().unwrap(), "mt/get_json/64/1".parse().unwrap()];
        let plan =
            Plan { cells: cells.clone(), clients, rounds: 2, span: Duration::ZERO, tls: false };
        assert_eq!(plan.turns_of(cells[0]), [0, 1, 2, 1, 2, 0]);
        assert_eq!(plan.turns_of(cells[1]), [0, 1, 1, 0]);
        assert_eq!(plan.turns(), 10);
        let tls = Plan { tls: true, ..plan };
        assert_eq!(tls.turns_of(cells[0]), [0, 1, 1, 0], "the raw wire does not speak it");
    }
}
