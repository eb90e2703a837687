#include "history/frame.hpp"

#include "base/bytes.hpp"
#include "base/hash.hpp"

namespace bavn::history {

namespace {

constexpr std::uint32_t kFrameMagic = 0x31465642;  // "BVF1"
constexpr std::string_view kSegmentMagic("BVSEG1\0\0", 8);
constexpr std::string_view kDirectoryMagic = "BVDIR1";
constexpr std::uint8_t kVersion = 1;
constexpr std::uint64_t kMaxFrames = 1U << 24U;

void put_source(ByteWriter& w, const Source& s) {
  w.text(s.name);
  w.fixed(s.municipality.value);
  w.fixed(s.tenant.value);
}

Source get_source(ByteReader& r) {
  Source s;
  s.name = r.text();
  s.municipality.value = r.fixed<std::uint16_t>();
  s.tenant.value = r.fixed<std::uint16_t>();
  return s;
}

}  // namespace

std::string encode(const SegmentHeader& h) {
  std::string out;
  ByteWriter w(out);
  w.raw(kSegmentMagic);
  w.fixed(static_cast<std::uint8_t>(h.kind));
  w.fixed(h.segment);
  w.fixed(h.day);
  w.fixed(h.created_us);
  w.fixed(hash64(out));
  return out;
}

std::optional<SegmentHeader> decode_segment_header(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderBytes || !bytes.starts_with(kSegmentMagic)) return std::nullopt;
  ByteReader r(bytes.substr(kSegmentMagic.size()));
  SegmentHeader h;
  h.kind = static_cast<SegmentKind>(r.fixed<std::uint8_t>());
  h.segment = r.fixed<std::uint32_t>();
  h.day = r.fixed<std::int32_t>();
  h.created_us = r.fixed<std::int64_t>();
  if (r.fixed<std::uint64_t>() != hash64(bytes.substr(0, kSegmentHeaderBytes - 8))) return std::nullopt;
  if (h.kind != SegmentKind::journal && h.kind != SegmentKind::rewritten) return std::nullopt;
  return h;
}

FrameStart begin_frame(std::string& out, const FrameHeader& h) {
  FrameStart start{out.size(), out.size() + kFramePrefix, 0};
  ByteWriter w(out);
  w.fixed(kFrameMagic);
  w.fixed(std::uint32_t{0});
  w.fixed(std::uint64_t{0});
  w.fixed(kVersion);
  w.fixed(static_cast<std::uint8_t>(h.kind));
  w.fixed(h.segment);
  w.fixed(h.number);
  w.fixed(h.municipality.value);
  w.fixed(h.tenant.value);
  w.fixed(h.day);
  w.fixed(h.key_id);
  w.fixed(h.received_us);
  w.raw({h.batch.data(), h.batch.size()});
  w.fixed(h.count);
  w.fixed(h.plain_bytes);
  w.fixed(h.lines_bytes);
  w.fixed(h.min_happened_us);
  w.fixed(h.max_happened_us);
  w.fixed(h.dictionary);
  w.text(h.source);
  w.text(h.format);
  start.header_end = out.size();
  return start;
}

void finish_frame(std::string& out, const FrameStart& start) {
  const auto length = static_cast<std::uint32_t>(out.size() - start.at);
  std::memcpy(out.data() + start.at + 4, &length, sizeof length);
  const std::uint64_t sum = hash64(std::string_view(out).substr(start.at + kFramePrefix), length);
  std::memcpy(out.data() + start.at + 8, &sum, sizeof sum);
}

std::optional<std::uint32_t> frame_length(std::string_view first_bytes) {
  ByteReader r(first_bytes);
  const auto magic = r.fixed<std::uint32_t>();
  const auto length = r.fixed<std::uint32_t>();
  if (r.bad() || magic != kFrameMagic || length < kFramePrefix || length > kMaxFrame) return std::nullopt;
  return length;
}

Result<DecodedFrame> decode_frame(std::string_view bytes) {
  const auto length = frame_length(bytes);
  if (!length || *length > bytes.size()) return fail(Code::corrupt, "no whole frame");
  const std::string_view body = bytes.substr(kFramePrefix, *length - kFramePrefix);
  std::uint64_t sum = 0;
  std::memcpy(&sum, bytes.data() + 8, sizeof sum);
  if (sum != hash64(body, *length)) return fail(Code::corrupt, "a frame's checksum is wrong");
  DecodedFrame f;
  f.length = *length;
  ByteReader r(body);
  const auto version = r.fixed<std::uint8_t>();
  FrameHeader& h = f.header;
  h.kind = static_cast<FrameKind>(r.fixed<std::uint8_t>());
  h.segment = r.fixed<std::uint32_t>();
  h.number = r.fixed<std::uint32_t>();
  h.municipality.value = r.fixed<std::uint16_t>();
  h.tenant.value = r.fixed<std::uint16_t>();
  h.day = r.fixed<std::int32_t>();
  h.key_id = r.fixed<std::uint32_t>();
  h.received_us = r.fixed<std::int64_t>();
  if (const auto id = r.raw(h.batch.size()); id.size() == h.batch.size())
    std::memcpy(h.batch.data(), id.data(), id.size());
  h.count = r.fixed<std::uint32_t>();
  h.plain_bytes = r.fixed<std::uint32_t>();
  h.lines_bytes = r.fixed<std::uint32_t>();
  h.min_happened_us = r.fixed<std::int64_t>();
  h.max_happened_us = r.fixed<std::int64_t>();
  h.dictionary = r.fixed<std::uint32_t>();
  h.source = r.text();
  h.format = r.text();
  const bool known_kind = h.kind == FrameKind::lines || h.kind == FrameKind::dictionary;
  if (r.bad() || version != kVersion || !known_kind || h.plain_bytes > kMaxPlain || h.lines_bytes > h.plain_bytes ||
      h.source.size() > kMaxName || h.format.size() > kMaxName)
    return fail(Code::corrupt, "a frame's header is not one of this version");
  f.associated = body.substr(0, body.size() - r.left());
  f.sealed = body.substr(body.size() - r.left());
  return f;
}

std::string encode_plain(const std::vector<Run>& runs, std::string_view context, std::string_view lines) {
  std::string out;
  out.reserve(lines.size() + context.size() + 16 + runs.size() * 8);
  ByteWriter w(out);
  w.varint(runs.size());
  std::int64_t before = 0;
  for (const Run& run : runs) {
    w.varint(run.count);
    w.zigzag(run.received_us - before);
    before = run.received_us;
  }
  w.text(context);
  w.raw(lines);
  return out;
}

Result<void> FrameText::take(std::string bytes, const FrameHeader& h) {
  bytes_ = std::move(bytes);
  runs_.clear();
  ByteReader r(bytes_);
  const std::uint64_t n = r.varint();
  std::uint64_t total = 0;
  std::uint64_t received = 0;
  for (std::uint64_t i = 0; i < n && !r.bad(); ++i) {
    Run run;
    const std::uint64_t count = r.varint();
    received += static_cast<std::uint64_t>(r.zigzag());
    run.count = static_cast<std::uint32_t>(count);
    run.received_us = static_cast<std::int64_t>(received);
    total += count;
    if (total > h.count) return fail(Code::corrupt, "a frame holds another number of records than its header says");
    runs_.push_back(run);
  }
  const std::string_view context = r.text();
  if (r.bad() || total != h.count || r.left() != h.lines_bytes)
    return fail(Code::corrupt, "a frame's content does not fit its header");
  context_size_ = context.size();
  lines_at_ = bytes_.size() - r.left();
  context_at_ = lines_at_ - context_size_;
  return {};
}

std::int64_t FrameText::received_us(std::uint32_t record) const {
  for (const Run& run : runs_) {
    if (record < run.count) return run.received_us;
    record -= run.count;
  }
  return runs_.empty() ? 0 : runs_.back().received_us;
}

std::string encode(const Directory& d) {
  std::string out;
  ByteWriter w(out);
  w.raw(kDirectoryMagic);
  w.varint(d.sources.size());
  for (const Source& s : d.sources) put_source(w, s);
  w.varint(d.formats.size());
  for (const std::string& f : d.formats) w.text(f);
  w.varint(d.frames.size());
  for (const FrameEntry& f : d.frames) {
    w.varint(f.offset);
    w.varint(f.length);
    w.varint(f.source);
    w.varint(f.format);
    w.varint(f.count);
    w.varint(f.lines_bytes);
    w.zigzag(f.received_us);
    w.zigzag(f.min_happened_us);
    w.zigzag(f.max_happened_us);
    const bool has_batch = f.batch != BatchId{};
    w.fixed(static_cast<std::uint8_t>((f.dropped ? 1U : 0U) | (has_batch ? 2U : 0U)));
    if (has_batch) w.raw({f.batch.data(), f.batch.size()});
  }
  w.varint(d.dictionaries.size());
  for (const auto& x : d.dictionaries) {
    w.varint(x.offset);
    w.varint(x.length);
    w.varint(x.source);
  }
  w.fixed(hash64(out));
  return out;
}

Result<Directory> decode_directory(std::string_view bytes) {
  const auto corrupt = [] { return fail(Code::corrupt, "a segment's directory is damaged"); };
  if (!bytes.starts_with(kDirectoryMagic) || bytes.size() < kDirectoryMagic.size() + 8) return corrupt();
  const std::string_view body = bytes.substr(0, bytes.size() - 8);
  if (ByteReader(bytes.substr(body.size())).fixed<std::uint64_t>() != hash64(body)) return corrupt();
  ByteReader r(body.substr(kDirectoryMagic.size()));
  Directory d;
  for (std::uint64_t n = r.varint(); n > 0 && !r.bad(); --n) d.sources.push_back(get_source(r));
  for (std::uint64_t n = r.varint(); n > 0 && !r.bad(); --n) d.formats.emplace_back(r.text());
  const std::uint64_t frames = r.varint();
  if (frames > kMaxFrames) return corrupt();
  for (std::uint64_t n = frames; n > 0 && !r.bad(); --n) {
    FrameEntry f;
    f.offset = r.varint();
    f.length = static_cast<std::uint32_t>(r.varint());
    f.source = static_cast<std::uint32_t>(r.varint());
    f.format = static_cast<std::uint32_t>(r.varint());
    f.count = static_cast<std::uint32_t>(r.varint());
    f.lines_bytes = static_cast<std::uint32_t>(r.varint());
    f.received_us = r.zigzag();
    f.min_happened_us = r.zigzag();
    f.max_happened_us = r.zigzag();
    const auto flags = r.fixed<std::uint8_t>();
    f.dropped = (flags & 1U) != 0;
    if ((flags & 2U) != 0)
      if (const auto id = r.raw(f.batch.size()); id.size() == f.batch.size())
        std::memcpy(f.batch.data(), id.data(), id.size());
    if (f.source >= d.sources.size() || f.format >= d.formats.size() || f.length > kMaxFrame) return corrupt();
    d.frames.push_back(f);
  }
  for (std::uint64_t n = r.varint(); n > 0 && !r.bad(); --n) {
    Directory::Dictionary x;
    x.offset = r.varint();
    x.length = static_cast<std::uint32_t>(r.varint());
    x.source = static_cast<std::uint32_t>(r.varint());
    if (x.source >= d.sources.size() || x.length > kMaxFrame) return corrupt();
    d.dictionaries.push_back(x);
  }
  if (r.bad() || r.left() != 0) return corrupt();
  return d;
}

}  // namespace bavn::history
