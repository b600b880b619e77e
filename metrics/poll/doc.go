// Package poll keeps the newest value of every key that somebody asks for, and asks nobody to wait: [Poller.Get] returns
// what there is and marks its key as wanted, and [Poller.Run] fetches the wanted keys in the background, each at its own
// pace.
//
// A slow key delays no other. At most Config.Concurrent fetches run at once that have just begun; one that takes longer
// than a quarter of the timeout makes room for others and is from then on, until it is quick again, fetched in a lane of
// its own with as many places. So the keys of a source that hangs wait for each other, and however many they are, a key
// of another source waits for them at most while they are new: for a quarter of a timeout for every Config.Concurrent of
// them, once. No more than five times Config.Concurrent fetches are ever under way.
//
// What it does not do: it keeps one value for a key and no history, and it keeps nothing of a key that nobody asked for
// during Config.Idle.
package poll
