#include "match/indicators/load.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/text.hpp"
#include "base/utf16.hpp"
#include "match/indicators/loader.hpp"

namespace bavn::match::indicators {

namespace fs = std::filesystem;
using event::Kind;

std::uint64_t LoadReport::skipped_count() const {
  std::uint64_t n = 0;
  for (const auto& [reason, r] : skipped) n += r.count;
  return n;
}
std::uint64_t LoadReport::refused_count() const {
  std::uint64_t n = 0;
  for (const auto& [reason, r] : refused) n += r.count;
  return n;
}

void LoadReport::merge(const LoadReport& o, const std::string& from) {
  loaded += o.loaded;
  not_evaluated += o.not_evaluated;
  const auto join = [&](std::map<std::string, Reason>& into, const std::map<std::string, Reason>& more) {
    for (const auto& [reason, r] : more) {
      Reason& mine = into[reason];
      if (mine.count == 0) mine = {0, from + " " + r.first_where, r.first_value};
      mine.count += r.count;
    }
  };
  join(skipped, o.skipped);
  join(refused, o.refused);
  join(notes, o.notes);
}

void ListTarget::count(std::map<std::string, LoadReport::Reason>& in, std::string_view reason, std::string_view where,
                       std::string_view value) {
  auto it = in.find(std::string(reason));
  if (it == in.end()) {
    // Reasons may quote the input (a type's name): their number is bounded.
    if (in.size() >= 1000) reason = "further reasons";
    it = in.try_emplace(std::string(reason.substr(0, 200)),
                        LoadReport::Reason{0, std::string(where), repair_utf8(value.substr(0, 120))})
             .first;
  }
  ++it->second.count;
}

Indicator ListTarget::blank() const {
  Indicator i;
  i.source = options.source;
  i.confidence = options.confidence;
  i.tlp = options.tlp;
  i.action = options.action;
  return i;
}

void ListTarget::add(const Indicator& i, std::string_view where) {
  if (auto ok = sink_(i); ok) ++report.loaded;
  else refuse(ok.error().what, where, i.value);
}

bool read_time(std::string_view text, Instant& out) {
  text = trim(text);
  if (text.empty()) return true;
  const bool epoch = text.find_first_not_of("0123456789.") == std::string_view::npos;
  const auto t = epoch ? parse_epoch(text) : parse_time(text);
  if (t) out = *t;
  return t.has_value();
}

Result<LoadReport> load_bytes(std::string_view bytes, std::string_view name, const IndicatorSink& sink,
                              LoadOptions options) {
  LoadReport report;
  const bool named = !options.source.empty();
  if (!named) options.source = name;
  ListTarget to(sink, options, report);
  if (bytes.starts_with("BAVNIND1")) {
    report.format = "base";
    BAVN_TRY(const auto base, IndicatorBase::from_bytes(std::string(bytes)));
    base->for_each([&](const Indicator& i) { to.add(i, "record"); });
    return report;
  }
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  std::string converted;
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF")) {  // what PowerShell 5 writes
    if (bytes.size() % 2 != 0) to.refuse("half a character of UTF-16", "the end", "");
    converted = from_utf16(bytes.substr(2), bytes[0] == '\xFE');
    bytes = converted;
  }
  const auto first = bytes.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) {
    report.format = "text";
    return report;
  }
  if (bytes[first] == '{' ||
      (bytes[first] == '[' && bytes.find_first_of("{]", first + 1) < bytes.find('\n', first + 4096))) {
    // "[2001:db8::1]:25" begins a text list, "[{" or "[ ]" a JSON one
    const auto next = bytes.find_first_not_of(" \t\r\n", first + 1);
    const bool json = bytes[first] == '{' || next == std::string_view::npos || bytes[next] == '{' ||
                      bytes[next] == ']' || bytes[next] == '"';
    if (json) {
      if (bytes.size() > kLargestJsonList)
        return fail(Code::bad_input, "JSON list larger than 512 MiB: split it", std::string(name));
      if (!named) options.source.clear();
      if (auto ok = load_json(bytes, to); !ok) return fail(ok.error().code, ok.error().what, std::string(name));
      return report;
    }
  }
  if (first != std::string_view::npos && bytes[first] == '<' &&
      !bytes.substr(first, bytes.find('>', first) - first).contains('@'))  // <bo@evil.example> is a line of a list
    return fail(Code::bad_input,
                "XML or HTML, no list of indicators: STIX 1 and OpenIOC are not read, STIX 2.1, MISP and CSV are",
                std::string(name));
  if (bytes.substr(0, 4096).find('\0') != std::string_view::npos)
    return fail(Code::bad_input, "binary data, no list of indicators", std::string(name));
  const std::string_view line = trim(bytes.substr(0, bytes.find('\n')));
  if (line.size() == 69 && line[32] == ',' && line[41] == '-' &&
      line.find_first_not_of("0123456789abcdef-,") == std::string_view::npos)
    return fail(Code::bad_input,
                "hashes.csv of a MISP feed: it names no values, load the feed's folder with its events",
                std::string(name));
  if (looks_like_csv(bytes)) {
    report.format = "csv";
    load_csv(bytes, to);
  } else {
    report.format = "text";
    load_text(bytes, to);
  }
  return report;
}

namespace {

Result<std::string> read_whole(const fs::path& path) {
  std::error_code error;
  if (const auto kind = fs::status(path, error).type();
      kind == fs::file_type::fifo || kind == fs::file_type::character) {
    std::ifstream pipe(path, std::ios::binary);  // <(curl ...), /dev/stdin: how long it is shows at its end
    if (!pipe) return fail(Code::not_found, "cannot read the list", path.string());
    std::string all, block(1U << 20, '\0');
    while (pipe.read(block.data(), static_cast<std::streamsize>(block.size())), pipe.gcount() > 0) {
      all.append(block, 0, static_cast<std::size_t>(pipe.gcount()));
      if (all.size() > kLargestList) return fail(Code::bad_input, "list larger than 1 GiB: split it", path.string());
    }
    return all;
  }
  const auto size = fs::file_size(path, error);
  if (error) return fail(Code::not_found, "cannot read the list: " + error.message(), path.string());
  if (size > kLargestList) return fail(Code::bad_input, "list larger than 1 GiB: split it", path.string());
  std::ifstream in(path, std::ios::binary);
  std::string bytes(size, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(size));
  if (!in && !in.eof()) return fail(Code::unavailable, "cannot read the list", path.string());
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  return bytes;
}

}  // namespace

Result<LoadReport> load_file(const std::string& path, const IndicatorSink& sink, LoadOptions options) {
  std::error_code error;
  const fs::path p(path);
  if (fs::is_directory(p, error)) {
    LoadReport report;
    if (fs::exists(p / "manifest.json", error) || fs::exists(p / "hashes.csv", error)) {
      report.format = "misp_feed";
      ListTarget to(sink, options, report);
      if (auto ok = load_misp_feed(path, to); !ok) return fail(ok.error().code, ok.error().what, path);
      return report;
    }
    report.format = "folder";
    std::vector<fs::path> files;
    for (auto it = fs::recursive_directory_iterator(p, fs::directory_options::skip_permission_denied, error);
         !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
      if (it->is_regular_file(error) && it->path().filename().string()[0] != '.') files.push_back(it->path());
      if (files.size() > 100000) return fail(Code::bad_input, "more than 100,000 files in one folder of lists", path);
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& f : files) {
      auto one = load_file(f.string(), sink, options);
      if (one) {
        report.merge(*one, f.string());
      } else {
        LoadReport::Reason& r = report.refused[one.error().what];
        if (r.count++ == 0) r.first_where = f.string();
      }
    }
    return report;
  }
  BAVN_TRY(const std::string bytes, read_whole(p));
  auto report = load_bytes(bytes, p.filename().string(), sink, std::move(options));
  if (!report) return fail(report.error().code, report.error().what, path);
  return report;
}

Result<LoadReport> load_file(const std::string& path, IndicatorBuilder& builder, LoadOptions options) {
  return load_file(path, [&](const Indicator& i) { return builder.add(i); }, std::move(options));
}

void add_random(IndicatorBuilder& builder, std::size_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  constexpr char kHex[] = "0123456789abcdef";
  constexpr std::string_view kSources[] = {"random-a", "random-b", "random-c", "random-d", "random-e"};
  Indicator i;
  const auto word = [&](unsigned length) {
    for (std::uint64_t bits = 0; length > 0; --length) {
      if (bits < 36) bits = random();
      i.value += kLetters[bits % 36];
      bits /= 36;
    }
  };
  const auto domain = [&] {
    if (random() % 3 == 0) {
      word(3 + static_cast<unsigned>(random() % 6));
      i.value += '.';
    }
    i.value += kLetters[random() % 26];  // not all digits
    word(11 + static_cast<unsigned>(random() % 8));
    i.value += ".invalid";
  };
  for (std::size_t k = 0; k < n; ++k) {
    i.value.clear();
    i.source = kSources[random() % 5];
    const auto pick = random() % 100;
    if (pick < 40) {
      i.kind = Kind::domain;
      domain();
    } else if (pick < 60) {
      i.kind = Kind::url;
      domain();
      i.value += '/';
      word(4 + static_cast<unsigned>(random() % 10));
    } else if (pick < 75) {
      i.kind = Kind::ipv4;
      const auto bits = random();
      i.value = std::to_string(240 + bits % 15) + "." + std::to_string(bits >> 8 & 255) + "." +
                std::to_string(bits >> 16 & 255) + "." + std::to_string(bits >> 24 & 255);
    } else if (pick < 95) {
      i.kind = Kind::sha256;
      for (unsigned w = 0; w < 4; ++w) {
        std::uint64_t bits = random();
        for (unsigned d = 0; d < 16; ++d, bits >>= 4) i.value += kHex[bits & 15];
      }
    } else {
      i.kind = Kind::email;
      word(8);
      i.value += '@';
      domain();
    }
    const auto ok = builder.add(i);
    BAVN_ASSERT(ok.has_value());
  }
}

}  // namespace bavn::match::indicators
