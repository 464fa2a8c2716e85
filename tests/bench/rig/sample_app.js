// What Recall's sample app for separate audio does with a message (github.com/recallai/sample-apps,
// bot_separate_audio_streams_per_participant_realtime_write_to_audio_files): check it against a schema, decode the
// base64, fill the hole since the participant's last chunk with silence, and write to a stream per participant.
// In its favour: no MP3 beside the samples, and nothing printed.
//
// node sample_app.js FOLDER

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { PassThrough } = require('node:stream');
const { WebSocketServer } = require('ws');
const { z } = require('zod');

const RATE = 16000;
const SAMPLE_BYTES = 2;

const folder = process.argv[2];
const identified = z.object({ id: z.string(), metadata: z.record(z.string(), z.string()) });
const Message = z.object({
  event: z.literal('audio_separate_raw.data'),
  data: z.object({
    data: z.object({
      buffer: z.string(),
      timestamp: z.object({ relative: z.number(), absolute: z.string() }),
      participant: z.object({
        id: z.number(),
        name: z.string().nullable(),
        is_host: z.boolean(),
        platform: z.string().nullable(),
        extra_data: z.any(),
        email: z.string().nullish(),
      }),
    }),
    realtime_endpoint: identified,
    audio_separate: identified,
    recording: identified,
    bot: identified.nullish(),
  }),
});

const tracks = new Map(); // "recording-participant" -> { stream, end }: where its samples go, and its last one's time

function openTrack(key) {
  const stream = new PassThrough();
  stream.pipe(fs.createWriteStream(path.join(folder, `${key}.raw`), { flags: 'a' }));
  const track = { stream, end: undefined };
  tracks.set(key, track);
  return track;
}

function take(json) {
  const { data, recording } = Message.parse(json).data;
  const key = `${recording.id}-${data.participant.id}`;
  const track = tracks.get(key) ?? openTrack(key);
  let pcm = Buffer.from(data.buffer, 'base64');
  const begin = data.timestamp.relative;
  const end = begin + pcm.length / SAMPLE_BYTES / RATE;
  if (track.end !== undefined && begin > track.end) {
    pcm = Buffer.concat([Buffer.alloc(Math.round((begin - track.end) * RATE) * SAMPLE_BYTES), pcm]);
  }
  track.end = end;
  track.stream.write(pcm);
}

function closeTracks(recording) {
  for (const [key, track] of tracks) {
    if (key.includes(recording)) {
      track.stream.end();
      tracks.delete(key);
    }
  }
}

const server = http.createServer();
const sockets = new WebSocketServer({ noServer: true });

sockets.on('connection', (socket) => {
  let recording;
  socket.on('message', (message) => {
    const json = JSON.parse(message.toString());
    recording ??= json.data.recording.id;
    take(json);
  });
  socket.on('close', () => closeTracks(recording));
});

server.on('upgrade', (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (connection) => sockets.emit('connection', connection, request));
});

server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ event: 'listening', port: server.address().port }));
});
