// Package schedule says which minimum of the number of replicas holds at a time: schedules of two cron expressions, a
// start and an end, each in a time zone.
//
// A schedule is active while its next end comes before its next start. Both are meant on the clocks of its time zone, so
// what happens to a time that a clock skips or shows twice is said once, here:
//
//   - A start or an end in an hour that is skipped counts at the moment at which the clock jumps.
//   - In an hour that the clock shows twice, a start counts at its first occurrence and an end at its second: the minimum is
//     rather raised for too long than too briefly, and never goes up and down within that hour.
//
// An expression has five fields (minute, hour, day of month, month, day of week), or is one of @hourly, @daily, @midnight,
// @weekly, @monthly, @annually and @yearly; as in cron, a day counts where the day of the month or the day of the week
// fits if both are restricted.
//
// It reads no clock: now is an argument. Only Parse reads anything at all, the time zone database of the system or, where
// the program has it, the embedded one. It knows no bounds of a policy; the engine holds the floor within them.
package schedule
