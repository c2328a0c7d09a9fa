//! The streams that a worker follows: told to others by its row, kept in step with their shards, and given up.

use std::collections::BTreeSet;

use stream_types::{Name, Shard, Timestamp};

use super::{Command, Ending, Stream, Warning, Worker};
use crate::plan::designated;
use crate::{Expected, Lease, StreamFacts, WorkerRow};

impl Worker {
    pub(super) fn on_follow(&mut self, name: Name, facts: StreamFacts) {
        // One that is being given up is still known, but another may have taken its name.
        let known = self.streams.get(&name).is_some_and(|stream| stream.created() == facts.created);
        if !known {
            self.streams.insert(name.clone(), Stream::new(facts));
        }
        self.followed().insert(name);
        self.tell_streams();
    }

    /// Hands over what the worker has of the stream. The rows stay in the table, with their positions.
    pub(super) fn on_unfollow(&mut self, name: &Name) {
        if self.followed().remove(name) {
            self.tell_streams();
        }
    }

    /// The others plan by what the worker's row says; this worker by what the table says of the stream.
    fn tell_streams(&mut self) {
        self.pulse.hurry();
        self.listing.wanted = true;
        self.chores.plan = true;
    }

    fn followed(&mut self) -> &mut BTreeSet<Name> {
        self.pulse.row.streams.get_or_insert_default()
    }

    /// Whether the registry says that the worker is giving the stream up, if it is. A receiver that did not know yet would
    /// count on it, and hand leases back.
    pub(super) fn may_give_away(&self, stream: &Name) -> bool {
        let row = &self.pulse.row;
        if row.leaving && !self.pulse.is_leaving_known() {
            return false;
        }
        row.follows(stream) || !self.pulse.is_known_to_follow(stream)
    }

    /// Forgets the streams that were given up, once nothing of them is left to hand over.
    pub(super) fn drop_unfollowed_streams(&mut self) {
        if !self.table.is_listed() {
            return;
        }
        let me = self.id();
        let is_left = |stream: &Name| {
            // Until all can know, somebody may still give it a lease.
            let is_known = !self.pulse.row.follows(stream) && !self.pulse.is_known_to_follow(stream);
            let is_of_it = |row: &&Lease| row.key.stream == *stream;
            let is_mine = |row: &Lease| !row.is_finished() && row.is_owned_by(&me) || self.table.is_writing(&row.key);
            let owns = || self.table.rows().into_iter().flatten().filter(is_of_it).any(is_mine);
            is_known && !self.holdings.keys().any(|key| key.stream == *stream) && !owns()
        };
        let left: Vec<Name> = self.streams.keys().filter(|stream| is_left(stream)).cloned().collect();
        for stream in left {
            self.streams.remove(&stream);
            self.commands.push(Command::DropStream { stream });
        }
    }

    /// A stream that cannot be read any more costs the worker its other streams only if it has none.
    fn give_up(&mut self, stream: &Name, ending: Ending, warning: Warning) {
        if !self.pulse.row.follows(stream) {
            return;
        }
        if self.followed().len() == 1 {
            self.end(ending);
        } else {
            self.commands.push(Command::Warn(warning));
            self.on_unfollow(stream);
        }
    }

    fn refuse_recreated(&mut self, stream: &Name, leased: Timestamp, found: Timestamp) {
        let ending = Ending::StreamRecreated { stream: stream.clone(), leased, found };
        self.give_up(stream, ending, Warning::StreamRecreated { stream: stream.clone(), leased, found });
    }

    /// Gives up the streams whose leases are for an earlier stream of their name.
    pub(super) fn refuse_recreated_streams(&mut self) {
        let recreated = |(name, stream): (&Name, &Stream)| {
            let found = stream.created()?;
            let mut rows = self.table.rows().into_iter().flatten().filter(|row| row.key.stream == *name);
            let leased = rows.find_map(|row| row.stream.created.filter(|leased| *leased != found))?;
            Some((name.clone(), leased, found))
        };
        let recreated: Vec<(Name, Timestamp, Timestamp)> = self.streams.iter().filter_map(recreated).collect();
        for (stream, leased, found) in recreated {
            self.refuse_recreated(&stream, leased, found);
        }
    }

    /// The chores of the whole fleet, and those of each stream, fall to one worker that all agree on.
    pub(super) fn assign_chores(&mut self) {
        let live = self.live_workers();
        let is_me = |row: &WorkerRow| row.name == self.pulse.row.name;
        let lists = |stream: &Name| {
            let followers: Vec<&WorkerRow> = live.iter().copied().filter(|row| row.follows(stream)).collect();
            let is_new = self.table.rows().into_iter().flatten().all(|row| row.key.stream != *stream);
            self.pulse.row.follows(stream) && (is_new || designated(&followers).is_some_and(is_me))
        };
        let listed: BTreeSet<Name> = self.streams.keys().filter(|stream| lists(stream)).cloned().collect();
        for (name, stream) in &mut self.streams {
            if listed.contains(name) {
                stream.list_every(self.settings.reconcile_interval, self.now);
            } else {
                stream.leave_listing_to_others();
            }
        }
        if self.is_designated() {
            self.forget_the_dead();
            self.tell_of_unread_streams();
        }
    }

    /// Rows that somebody deleted by hand, or that the table has lost, are made anew once their shards are listed.
    pub(super) fn make_up_for_vanished(&mut self) {
        let me = self.id();
        let mut own = Vec::new();
        for lease in self.table.take_vanished() {
            let is_followed = self.pulse.row.follows(&lease.key.stream);
            let Some(stream) = self.streams.get_mut(&lease.key.stream).filter(|_| is_followed) else { continue };
            // That of a shard which is finished has usually gone with the shard. If not, the next list shows that.
            if lease.is_finished() {
                if stream.is_listed_here() {
                    stream.has_lost(&lease, self.now);
                }
                continue;
            }
            stream.has_lost(&lease, self.now);
            // Others notice, too: the owner, or whoever lists the shards, does something about it.
            if stream.is_listed_here() || lease.is_owned_by(&me) {
                stream.list_by(self.now);
                own.push(lease.key);
            }
        }
        if let Some(first) = own.first() {
            let (count, first) = (own.len(), first.clone());
            self.commands.push(Command::Warn(Warning::LeasesVanished { count, first }));
        }
    }

    /// Leases that nobody can read are told of once: they may have been left on purpose.
    fn tell_of_unread_streams(&mut self) {
        let live = self.live_workers();
        let unfinished = self.table.rows().into_iter().flatten().filter(|row| !row.is_finished());
        let streams: BTreeSet<&Name> = unfinished.map(|row| &row.key.stream).collect();
        let is_unread = |stream: &&&Name| !live.iter().any(|row| row.follows(stream));
        let unread: BTreeSet<Name> = streams.iter().filter(is_unread).copied().cloned().collect();
        for stream in unread.difference(&self.unread) {
            self.commands.push(Command::Warn(Warning::StreamUnread { stream: stream.clone() }));
        }
        self.unread = unread;
    }

    pub(super) fn follow_streams(&mut self) {
        for (name, stream) in &mut self.streams {
            if self.table.is_listed() && stream.starts_list(name, &self.table, self.now) {
                self.commands.push(Command::ListShards { stream: name.clone() });
            }
        }
    }

    pub(super) fn on_stream_not_found(&mut self, name: &Name) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        if stream.was_not_found(self.now) {
            let stream = name.clone();
            self.give_up(name, Ending::StreamDeleted { stream: stream.clone() }, Warning::StreamDeleted { stream });
        }
    }

    pub(super) fn on_shards(&mut self, name: &Name, created: Option<Timestamp>, shards: Option<Vec<Shard>>) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        if let (Some(leased), Some(found)) = (stream.created(), created)
            && leased != found
        {
            stream.list_failed(self.now);
            return self.refuse_recreated(name, leased, found);
        }
        let Some(shards) = shards else { return stream.list_failed(self.now) };
        if let Some(range) = stream.new_hole(&shards) {
            self.commands.push(Command::Warn(Warning::HoleInHashRange { stream: name.clone(), range }));
        }
        stream.listed(shards);
        stream.list_every(self.settings.reconcile_interval, self.now);
        for (key, _) in self.holdings.iter().filter(|(key, holding)| key.stream == *name && holding.has_failed()) {
            stream.look_again_for(&key.shard, self.now);
        }
        let vanished: Vec<Lease> = stream.vanished(name, &self.table).into_iter().cloned().collect();
        for tombstone in vanished {
            self.commands.push(self.table.delete(&tombstone));
        }
        self.finish_forgotten(name);
        self.chores.repair = true;
    }

    /// Creates the leases that shards lack, parents before children, and finishes the shards whose children have
    /// theirs.
    pub(super) fn repair(&mut self) {
        let me = self.id();
        let missing = |(name, stream): (&Name, &Stream)| stream.missing(name, &self.table, &me);
        let is_certain = self.listing.doubted.is_none();
        let missing: Vec<Lease> = self.streams.iter().filter(|_| is_certain).flat_map(missing).collect();
        for lease in missing {
            self.commands.push(self.table.write(Expected::Absent, lease, self.now));
        }
        self.finish_ended();
        for (name, stream) in &mut self.streams {
            stream.settle(name, &self.table);
        }
    }
}
