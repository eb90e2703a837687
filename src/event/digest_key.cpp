#include "event/digest_key.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/text.hpp"

namespace bavn::event {

namespace {

constexpr std::string_view kPurpose = "bavn digest key 1";
constexpr std::size_t kMaxFile = 256U << 10U, kMaxName = 120;
constexpr std::size_t kMostStewards = 8, kMostEpochs = 400;
constexpr std::int64_t kLongest = 400LL * 86'400 * 1'000'000;  // no key lasts longer

/// One line a field; no field may hold a line break.
std::string signed_words(const SealedKey& k) {
  return fmt::format("epoch {}\nfrom {}\nuntil {}\nreplaces {}\ncheck {}\nnode {}\nsealed {}\n", k.epoch, k.from_us,
                     k.until_us, k.replaces ? 1 : 0, k.check, k.node, k.sealed);
}

Result<void> check_times(std::int64_t epoch, std::int64_t from, std::int64_t until, bool replaces) {
  if (epoch < 1 || from < 0 || until <= from || until - from > kLongest || (replaces && from != 0) ||
      (!replaces && from == 0))
    return fail(Code::bad_input, fmt::format("epoch {} has times that cannot be", epoch));
  return {};
}

struct Pairs {
  std::string_view text;
  /// The next "name: value" line; comments and empty lines are left out. False at the end, or (wrong set) at what is no such line.
  bool next(std::string_view& name, std::string_view& value, bool& wrong) {
    while (!text.empty()) {
      const auto end = text.find('\n');
      const auto line = trim(text.substr(0, end));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      if (line.empty() || line.starts_with('#')) continue;
      const auto colon = line.find(": ");
      if (colon == std::string_view::npos) {
        wrong = true;
        return false;
      }
      name = line.substr(0, colon);
      value = trim(line.substr(colon + 2));
      return true;
    }
    return false;
  }
};

std::unexpected<Error> no_steward(std::string_view why) {
  return fail(Code::bad_input, fmt::format("this is no steward's public file: {}", why));
}

Result<std::int64_t> whole(std::string_view text) {
  std::int64_t n = 0;
  if (text.empty() || text.size() > 18 || !std::all_of(text.begin(), text.end(), ascii_digit))
    return fail(Code::bad_input, "a whole number is expected in the stewards' file of keys");
  for (const char c : text) n = n * 10 + (c - '0');
  return n;
}

}  // namespace

std::string Steward::text() const {
  return fmt::format(
      "# A steward of digest keys, public half: to be handed out and pinned at nodes\nsteward: {}\nsign: {}\nseal: "
      "{}\n",
      name, sign.text(), seal.text());
}

Result<Steward> Steward::parse(std::string_view text) {
  if (text.size() > 4096) return no_steward("it is too large");
  std::optional<PublicKey> sign;
  std::optional<SealAddress> seal;
  std::string name;
  Pairs pairs{text};
  std::string_view key, value;
  bool wrong = false;
  while (pairs.next(key, value, wrong)) {
    if (key == "steward" && name.empty()) {
      name = value;
    } else if (key == "sign" && !sign) {
      BAVN_TRY(sign, PublicKey::parse(value));
    } else if (key == "seal" && !seal) {
      BAVN_TRY(seal, SealAddress::parse(value));
    } else {
      return no_steward("it has lines that are not known");
    }
  }
  if (wrong) return no_steward("a line has no \"name: value\"");
  if (name.empty() || name.size() > kMaxName || !is_valid_utf8(name))
    return no_steward("the line \"steward: NAME\" is missing");
  if (!sign || !seal) return no_steward("the lines \"sign\" and \"seal\" are missing");
  return Steward{std::move(name), *sign, *seal};
}

std::string key_check(const Key& key) {
  return to_hex(blake2b256("bavn digest key check", key.reveal()).substr(0, 8));
}

SealedKey seal_to_node(const EpochKey& epoch, const SealAddress& node, const SigningKey& steward) {
  SealedKey k{.epoch = epoch.epoch,
              .from_us = micros(epoch.from),
              .until_us = micros(epoch.until),
              .sealed = to_base64(node.seal(epoch.key.reveal())),
              .steward = steward.public_key().text(),
              .signature = {},
              .node = node.text(),
              .check = key_check(epoch.key),
              .replaces = epoch.replaces};
  k.signature = to_base64(steward.sign(kPurpose, signed_words(k)));
  return k;
}

Result<const Steward*> check_sealed(const SealedKey& k, const std::vector<Steward>& stewards) {
  BAVN_CHECK(check_times(k.epoch, k.from_us, k.until_us, k.replaces));
  if (k.sealed.size() > 400 || k.node.size() > 80 || k.check.size() != 16 || k.signature.size() > 120 ||
      k.steward.size() > 80)
    return fail(Code::bad_input, "a sealed key has fields of lengths that cannot be");
  const auto steward =
      std::find_if(stewards.begin(), stewards.end(), [&](const Steward& s) { return s.sign.text() == k.steward; });
  if (steward == stewards.end())
    return fail(Code::forbidden,
                fmt::format("the key of epoch {} is signed by nobody who is pinned as a steward here", k.epoch));
  const auto signature = from_base64(k.signature);
  if (!signature || !steward->sign.verify(kPurpose, signed_words(k), *signature))
    return fail(Code::forbidden,
                fmt::format("the signature under the key of epoch {} is not {}'s", k.epoch, steward->name));
  return &*steward;
}

Result<EpochKey> open_sealed(const SealedKey& k, const SealKey& node, const std::vector<Steward>& stewards) {
  BAVN_CHECK(check_sealed(k, stewards));
  if (k.node != node.address().text())
    return fail(Code::forbidden, fmt::format("the key of epoch {} is sealed to another node", k.epoch));
  BAVN_TRY(const auto sealed, from_base64(k.sealed));
  BAVN_TRY(auto bytes, node.open(sealed));
  if (bytes.size() != Key::kSize)
    return fail(Code::corrupt, fmt::format("the key of epoch {} has another length", k.epoch));
  EpochKey out{.epoch = k.epoch,
               .from = from_micros(k.from_us),
               .until = from_micros(k.until_us),
               .replaces = k.replaces,
               .key = Key(std::span<const char, Key::kSize>(bytes.data(), Key::kSize))};
  wipe(bytes.data(), bytes.size());
  if (key_check(out.key) != k.check)
    return fail(Code::corrupt, fmt::format("the key of epoch {} is not the one it says", k.epoch));
  return out;
}

std::string StewardsKeys::text() const {
  std::string out =
      "# Keys of digest epochs, each sealed to every steward below. Nobody reads them without a steward's key.\n";
  for (const auto& s : stewards) {
    const auto steward = Steward::parse(s);
    if (!steward) continue;
    out += fmt::format("steward: {}\nsign: {}\nseal: {}\n", steward->name, steward->sign.text(), steward->seal.text());
  }
  for (const auto& e : epochs)
    out += fmt::format("epoch: {} {} {} {} {} {}\n", e.epoch, e.from_us, e.until_us, e.replaces ? "reserve" : "period",
                       e.check, fmt::join(e.sealed, " "));
  return out;
}

Result<StewardsKeys> StewardsKeys::parse(std::string_view text) {
  if (text.size() > kMaxFile) return fail(Code::bad_input, "too large for a stewards' file of keys");
  StewardsKeys keys;
  Pairs pairs{text};
  std::string_view name, value;
  std::string steward;
  bool wrong = false;
  while (pairs.next(name, value, wrong)) {
    if (name == "steward" || name == "sign" || name == "seal") {
      steward += fmt::format("{}: {}\n", name, value);
      if (name != "seal") continue;
      BAVN_TRY(const auto one, Steward::parse(steward));
      keys.stewards.push_back(one.text());
      steward.clear();
    } else if (name == "epoch") {
      const auto words = split(value, ' ');
      if (words.size() != 5 + keys.stewards.size() || keys.stewards.size() < 2 || words[4].size() != 16)
        return fail(Code::bad_input,
                    "an epoch in the stewards' file of keys does not have one sealed key for each steward");
      One e;
      BAVN_TRY(e.epoch, whole(words[0]));
      BAVN_TRY(e.from_us, whole(words[1]));
      BAVN_TRY(e.until_us, whole(words[2]));
      e.replaces = words[3] == "reserve";
      e.check = words[4];
      for (std::size_t i = 5; i < words.size(); ++i) e.sealed.emplace_back(words[i]);
      BAVN_CHECK(check_times(e.epoch, e.from_us, e.until_us, e.replaces));
      if (!keys.epochs.empty() && e.epoch <= keys.epochs.back().epoch)
        return fail(Code::bad_input, "the epochs in the stewards' file of keys are not in order");
      keys.epochs.push_back(std::move(e));
    } else {
      return fail(Code::bad_input, "the stewards' file of keys has lines that are not known");
    }
    if (keys.stewards.size() > kMostStewards || keys.epochs.size() > kMostEpochs)
      return fail(Code::bad_input, "the stewards' file of keys has more stewards or epochs than can be");
  }
  if (wrong || !steward.empty()) return fail(Code::bad_input, "the stewards' file of keys is cut or changed");
  return keys;
}

Result<void> make_epochs(StewardsKeys& keys, const std::vector<Steward>& stewards, const MakeKeys& make) {
  if (stewards.size() < 2)
    return fail(Code::bad_input, "keys are made for at least two stewards, so that one of them can be away");
  if (stewards.size() > kMostStewards) return fail(Code::bad_input, fmt::format("at most {} stewards", kMostStewards));
  for (std::size_t i = 0; i < stewards.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (stewards[i].sign == stewards[j].sign || stewards[i].seal == stewards[j].seal ||
          stewards[i].name == stewards[j].name)
        return fail(Code::bad_input,
                    fmt::format("{} stands there twice: two stewards are two people", stewards[i].name));
  if (make.periods < 0 || make.reserves < 0 || make.periods + make.reserves < 1 || make.periods > 12 ||
      make.reserves > 12)
    return fail(Code::bad_input, "between 1 and 12 periods, and at most 12 reserves");
  if (make.length < std::chrono::days(1) || make.length > std::chrono::days(90) ||
      make.overlap < std::chrono::hours(1) || make.overlap >= make.length)
    return fail(Code::bad_input, "a period is 1 to 90 days, and longer than the overlap");
  std::vector<std::string> texts;
  for (const auto& s : stewards) texts.push_back(s.text());
  if (!keys.stewards.empty() && keys.stewards != texts)
    return fail(Code::conflict, "the file belongs to other stewards (or another order of them); make a new file");
  keys.stewards = std::move(texts);
  std::int64_t epoch = keys.epochs.empty() ? 0 : keys.epochs.back().epoch;
  if (keys.epochs.size() + static_cast<std::size_t>(make.periods + make.reserves) > kMostEpochs)
    return fail(Code::bad_input, "the file is full; make a new one with a higher first epoch");
  Instant from = make.from;
  for (int i = 0; i < make.periods + make.reserves; ++i) {
    const bool reserve = i >= make.periods;
    const Key key = Key::random();
    StewardsKeys::One one{
        .epoch = ++epoch,
        .from_us = reserve ? 0 : micros(from),
        .until_us = reserve ? std::chrono::duration_cast<std::chrono::microseconds>(make.length + make.overlap).count()
                            : micros(from + make.length + make.overlap),
        .replaces = reserve,
        .check = key_check(key),
        .sealed = {}};
    BAVN_CHECK(check_times(one.epoch, one.from_us, one.until_us, reserve));
    for (const auto& s : stewards) one.sealed.push_back(to_base64(s.seal.seal(key.reveal())));
    keys.epochs.push_back(std::move(one));
    from += make.length;
  }
  return {};
}

Result<EpochKey> open_epoch(const StewardsKeys& keys, std::int64_t epoch, const SealKey& steward) {
  const auto at = std::find_if(keys.epochs.begin(), keys.epochs.end(), [&](const auto& e) { return e.epoch == epoch; });
  if (at == keys.epochs.end()) return fail(Code::not_found, fmt::format("epoch {} is not in the file of keys", epoch));
  for (std::size_t i = 0; i < keys.stewards.size(); ++i) {
    BAVN_TRY(const auto one, Steward::parse(keys.stewards[i]));
    if (!(one.seal == steward.address())) continue;
    BAVN_TRY(const auto sealed, from_base64(at->sealed.at(i)));
    BAVN_TRY(auto bytes, steward.open(sealed));
    if (bytes.size() != Key::kSize)
      return fail(Code::corrupt, fmt::format("the key of epoch {} has another length", epoch));
    EpochKey out{.epoch = epoch,
                 .from = from_micros(at->from_us),
                 .until = from_micros(at->until_us),
                 .replaces = at->replaces,
                 .key = Key(std::span<const char, Key::kSize>(bytes.data(), Key::kSize))};
    wipe(bytes.data(), bytes.size());
    if (key_check(out.key) != at->check)
      return fail(Code::corrupt, fmt::format("the key of epoch {} is not the one it says", epoch));
    return out;
  }
  return fail(Code::forbidden, "this key is none of the stewards' of the file");
}

}  // namespace bavn::event
