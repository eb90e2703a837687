#include "notice/digest_memory.hpp"

#include <algorithm>
#include <bit>

namespace bavn::notice {

namespace {

constexpr std::size_t kSmallest = 256;
constexpr std::size_t kMostSlots = std::size_t{1} << 26U;
constexpr std::uint8_t kVersion = 1;

/// At most 70 in 100 slots are taken: then a look costs two or three.
std::size_t slots_for(std::size_t things) {
  return std::max(kSmallest, std::bit_ceil(things * 10 / 7 + 1));
}

}  // namespace

NoveltyMemory::NoveltyMemory(std::size_t most, unsigned days)
    : slots_(kSmallest), most_(std::clamp<std::size_t>(most, 100, kMostSlots / 2)), days_(days) {}

std::size_t NoveltyMemory::find(std::uint64_t thing) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = thing & mask;  // things are keyed hashes: their low bits are as good as any
  while (slots_[at].thing != 0 && slots_[at].thing != thing) at = (at + 1) & mask;
  return at;
}

void NoveltyMemory::rebuild(std::size_t slots, std::uint16_t oldest) {
  std::vector<Slot> before(slots);
  before.swap(slots_);
  used_ = 0;
  for (const Slot& s : before)
    if (s.thing != 0 && s.last >= oldest) {
      slots_[find(s.thing)] = s;
      ++used_;
    }
}

void NoveltyMemory::make_room() {
  if (used_ < slots_.size() * 7 / 10 && used_ < most_) return;
  // first what is over, then what was seen longest ago
  const auto expired = static_cast<std::uint16_t>(latest_ > days_ ? latest_ - days_ : 0);
  std::size_t alive = 0;
  std::vector<std::size_t> by_age(days_ + 1);
  for (const Slot& s : slots_)
    if (s.thing != 0 && s.last >= expired) {
      ++alive;
      ++by_age[std::min<std::size_t>(latest_ - s.last, days_)];
    }
  std::uint16_t oldest = expired;
  if (alive >= most_) {
    std::size_t kept = 0;
    unsigned age = 0;
    while (age < by_age.size() && kept + by_age[age] <= most_ * 7 / 8) kept += by_age[age++];
    oldest = static_cast<std::uint16_t>(latest_ - age + 1);
    if (age == 0) {  // today alone is more than fits
      oldest = static_cast<std::uint16_t>(latest_ + 1);
      kept = 0;
    }
    forgotten_ += alive - kept;
    alive = kept;
  }
  rebuild(slots_for(std::min(most_, alive * 3 / 2 + kSmallest)), oldest);
}

NoveltyMemory::Seen NoveltyMemory::see(std::uint64_t thing, std::uint16_t day) {
  if (thing == 0) thing = 1;
  latest_ = std::max(latest_, day);
  day = latest_;
  if (since_day_ == 0) since_day_ = day;
  std::size_t at = find(thing);
  if (slots_[at].thing == 0) {
    make_room();
    at = find(thing);
    slots_[at] = {thing, day, day, 1};
    ++used_;
    return {false, day, 0};
  }
  Slot& s = slots_[at];
  if (day - s.last > static_cast<int>(days_)) {
    s = {thing, day, day, 1};
    return {false, day, 0};
  }
  const Seen seen{true, s.first, s.count};
  s.last = day;
  if (s.count < 65'535) ++s.count;
  return seen;
}

NoveltyMemory::Seen NoveltyMemory::look(std::uint64_t thing, std::uint16_t day) const {
  const Slot& s = slots_[find(thing == 0 ? 1 : thing)];
  day = std::max(latest_, day);
  if (s.thing == 0 || day - s.last > static_cast<int>(days_)) return {false, day, 0};
  return {true, s.first, s.count};
}

void NoveltyMemory::save(ByteWriter& into) const {
  into.fixed(kVersion);
  into.fixed(since_day_);
  into.fixed(latest_);
  into.varint(forgotten_);
  into.varint(used_);
  for (const Slot& s : slots_)
    if (s.thing != 0) {
      into.fixed(s.thing);
      into.fixed(s.first);
      into.fixed(s.last);
      into.fixed(s.count);
    }
}

Result<void> NoveltyMemory::load(ByteReader& saved) {
  if (saved.fixed<std::uint8_t>() != kVersion)
    return fail(Code::corrupt, "the memory of what was seen is of another version");
  NoveltyMemory read(most_, days_);
  read.since_day_ = saved.fixed<std::uint16_t>();
  read.latest_ = saved.fixed<std::uint16_t>();
  read.forgotten_ = saved.varint();
  const std::size_t n = saved.count(kMostSlots / 2, 14);
  if (saved.bad()) return fail(Code::corrupt, "the memory of what was seen is cut");
  read.slots_.assign(slots_for(n), {});
  for (std::size_t i = 0; i < n; ++i) {
    Slot s;
    s.thing = saved.fixed<std::uint64_t>();
    s.first = saved.fixed<std::uint16_t>();
    s.last = saved.fixed<std::uint16_t>();
    s.count = saved.fixed<std::uint16_t>();
    const std::size_t at = read.find(s.thing);
    if (s.thing == 0 || s.first > s.last || s.last > read.latest_ || read.slots_[at].thing != 0)
      return fail(Code::corrupt, "the memory of what was seen holds what cannot be");
    read.slots_[at] = s;
    ++read.used_;
  }
  *this = std::move(read);
  return {};
}

}  // namespace bavn::notice
