// What the quick start on docs.recall.ai, "Receive Real-Time Audio From Bot", does with a message: parse the JSON,
// decode the base64, append it to a file. In its favour: the messages are not printed, and the samples not copied again.
// Beyond it: Attendee's messages, and one file per participant.
//
// node quickstart.js FOLDER

const fs = require('node:fs');
const path = require('node:path');
const { WebSocketServer } = require('ws');

const folder = process.argv[2];

function append(session, track, base64) {
  fs.appendFileSync(path.join(folder, `${session}-${track}.raw`), Buffer.from(base64, 'base64'));
}

const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });

server.on('connection', (socket) => {
  socket.on('message', (message) => {
    const { event, trigger, bot_id: bot, data } = JSON.parse(message.toString());
    if (event === 'audio_separate_raw.data') {
      append(data.recording.id, data.data.participant.id, data.data.buffer);
    } else if (event === 'audio_mixed_raw.data') {
      append(data.recording.id, 'mixed', data.data.buffer);
    } else if (trigger === 'realtime_audio.per_participant') {
      append(bot, data.participant_uuid, data.chunk);
    } else if (trigger === 'realtime_audio.mixed') {
      append(bot, 'mixed', data.chunk);
    }
  });
});

server.on('listening', () => {
  console.log(JSON.stringify({ event: 'listening', port: server.address().port }));
});
